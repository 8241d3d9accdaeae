-- Returns messages of one consumer whose lease is over to where they came from.
-- KEYS  1 consumers
-- ARGV  1 now or '', 2 messages at most, 3 prefix of the keys of consumers
-- Returns {how many were returned, 1 when there may be more}.

local now = present(ARGV[1])
local id = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)[1]
if not id then
  return { 0, 0 }
end
local consumer = ARGV[3] .. id
local returned, left = hand_back(consumer, tonumber(ARGV[2]), now)
if left == 0 then
  redis.call('ZREM', KEYS[1], id)
  redis.call('DEL', consumer)
end
return { returned, 1 }
