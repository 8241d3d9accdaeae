-- Ends mailboxes whose owners died.
-- KEYS  1 mailboxes (zset by end)
-- ARGV  1 prefix of all keys, 2 separator, 3 mailboxes at most
-- Returns how many were ended.

local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', present(''), 'LIMIT', 0, ARGV[3])
for _, name in ipairs(over) do
  local first, last = string.find(name, ARGV[2], 1, true)
  end_mailbox(ARGV[1], ARGV[2], string.sub(name, 1, first - 1), string.sub(name, last + 1))
end
return #over
