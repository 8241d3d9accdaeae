-- Ends a mailbox.
-- KEYS  none
-- ARGV  1 prefix of all keys, 2 separator, 3 exchange, 4 routing key
-- Returns nothing.

end_mailbox(unpack(ARGV))
