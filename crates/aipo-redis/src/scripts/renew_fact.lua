-- Sets the value and the time to live of a fact that is claimed under this number.
-- KEYS  1 facts, 2 names, 3 expiries
-- ARGV  1 now or '', 2 name, 3 value, 4 time to live in ms, 5 number of the claim
-- Returns 1 when it was, else 0.

local now = present(ARGV[1])
local _, fence = read(redis.call('HGET', KEYS[1], ARGV[2]), now)
if fence ~= ARGV[5] then
  return 0
end
write(KEYS, ARGV[2], ARGV[3], fence, ARGV[4], now)
return 1
