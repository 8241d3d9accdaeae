-- Sets a fact that is not there and gives the number of the claim, higher than all before.
-- KEYS  1 facts, 2 names, 3 expiries, 4 the last number given
-- ARGV  1 now or '', 2 name, 3 value, 4 time to live in ms
-- Returns the number, or nothing when the fact is there.

local now = present(ARGV[1])
if read(redis.call('HGET', KEYS[1], ARGV[2]), now) then
  return nil
end
local fence = redis.call('INCR', KEYS[4])
write(KEYS, ARGV[2], ARGV[3], string.format('%.0f', fence), ARGV[4], now)
return fence
