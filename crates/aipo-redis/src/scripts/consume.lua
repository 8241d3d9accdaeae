-- Registers a consumer, with a lease from now on.
-- KEYS  1 consumers (zset by end of lease), 2 the consumer (hash)
-- ARGV  1 id, 2 now or '', 3 prefix of all keys, 4 separator, 5 steps by queue, 6 place of the first queue (0),
--       7 number of queues, then the queues, then the lists of all of them, by queue and step; at last lease in ms
--       and name
-- Returns nothing.

local now = present(ARGV[2])
add_queues(KEYS[2])
redis.call('HSET', KEYS[2], 'name', ARGV[#ARGV], 'steps', ARGV[5])
redis.call('ZADD', KEYS[1], now + ARGV[#ARGV - 1], ARGV[1])
