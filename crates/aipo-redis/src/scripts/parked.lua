-- Reads messages that wait for their time.
-- KEYS  by queue: its parked messages (zset)
-- ARGV  1 now or '', 2 messages of each queue at most
-- Returns by queue: the messages that are not due, each followed by its time.

local after = '(' .. string.format('%.0f', present(ARGV[1]))
local reply = {}
for index, parked in ipairs(KEYS) do
  reply[index] = redis.call('ZRANGEBYSCORE', parked, after, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
end
return reply
