-- Ends a consumer: its lease at once, and then, over as many calls as it takes, what it holds goes back.
-- Should the caller die in between, recover.lua finds a consumer whose lease is over.
-- KEYS  1 consumers, 2 the consumer
-- ARGV  1 id, 2 now or '', 3 messages at most, 4 '1' in the first call
-- Returns 'lost' when the first call finds the lease over, else how many messages are left.

local now = present(ARGV[2])
if ARGV[4] == '1' then
  if not has_lease(KEYS[1], ARGV[1], now) then
    return 'lost'
  end
  redis.call('ZADD', KEYS[1], '-inf', ARGV[1])
end
local _, left = hand_back(KEYS[2], tonumber(ARGV[3]), now)
if left == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  redis.call('DEL', KEYS[2])
end
return left
