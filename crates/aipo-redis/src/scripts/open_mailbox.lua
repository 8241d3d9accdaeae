-- Opens a mailbox, or keeps it open for longer, and takes what lies in it.
-- KEYS  1 bindings of its exchange (set), 2 deadlines of bindings (zset), 3 mailboxes (zset by end), 4 the mailbox (list)
-- ARGV  1 its binding, 2 its exchange, 3 its name among the mailboxes, 4 how long it is open from now on in ms,
--       5 letters at most
-- Returns the letters, the oldest first.
--
-- When that is all, the list is read, so that the server tells the connection of the next letter (CLIENT
-- TRACKING). The deadline is kombu's: beyond it, the bindings of an exchange whose queues all come and go are
-- deleted by whoever looks next.

local open_until = string.format('%.0f', present('') + ARGV[4])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], 'GT', open_until, ARGV[2])
redis.call('ZADD', KEYS[3], open_until, ARGV[3])
local letters = redis.call('RPOP', KEYS[4], ARGV[5]) or {}
if #letters < tonumber(ARGV[5]) then
  redis.call('EXISTS', KEYS[4])
end
return letters
