-- Deletes facts that have expired.
-- KEYS  1 facts, 2 names, 3 expiries
-- ARGV  1 now or '', 2 facts at most
-- Returns how many were deleted.

local expired = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', present(ARGV[1]), 'LIMIT', 0, ARGV[2])
for _, name in ipairs(expired) do
  erase(KEYS, name)
end
return #expired
