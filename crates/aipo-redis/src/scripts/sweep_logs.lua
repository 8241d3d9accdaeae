-- Deletes entries of logs that have expired.
-- KEYS  1 expiries of the entries of all logs (zset)
-- ARGV  1 now or '', 2 entries at most, 3 prefix of the keys of logs
-- Returns how many were deleted.

local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', present(ARGV[1]), 'LIMIT', 0, ARGV[2])
for _, member in ipairs(expired) do
  local number, log = string.match(member, '^(%d+):(.*)$')
  redis.call('ZREMRANGEBYSCORE', ARGV[3] .. log, number, number)
  redis.call('ZREM', KEYS[1], member)
end
return #expired
