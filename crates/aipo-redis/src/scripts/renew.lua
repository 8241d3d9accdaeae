-- Renews a lease that has not run out.
-- KEYS  1 consumers
-- ARGV  1 id, 2 now or '', 3 lease in ms
-- Returns 'lost' when it is over, else nothing.

local now = present(ARGV[2])
if not has_lease(KEYS[1], ARGV[1], now) then
  return 'lost'
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
