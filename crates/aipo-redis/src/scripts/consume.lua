-- Registers a consumer, with a lease from now on.
-- KEYS  1 consumers (zset by end of lease), 2 the consumer (hash)
-- ARGV  1 id, 2 now or '', 3 lease in ms, 4 name, 5 prefix of all keys, 6 separator, 7 steps by queue,
--       8 number of queues, 9… the queues, then the lists of all of them, by queue and step
-- Returns nothing.

local now = present(ARGV[2])
local steps, queues = tonumber(ARGV[7]), tonumber(ARGV[8])
redis.call('HSET', KEYS[2], 'name', ARGV[4], 'steps', steps)
for queue = 0, queues - 1 do
  local name = ARGV[9 + queue]
  declare(ARGV[5], ARGV[6], name)
  redis.call('HSET', KEYS[2], 'queue:' .. queue, name)
end
for lane = 0, queues * steps - 1 do
  redis.call('HSET', KEYS[2], 'list:' .. lane, ARGV[9 + queues + lane])
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
