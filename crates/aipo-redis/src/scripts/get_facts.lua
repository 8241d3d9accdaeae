-- Reads facts.
-- KEYS  1 facts, 2 names, 3 expiries
-- ARGV  1 now or '', 2… the names
-- Returns by name: the value, or nothing.

local now = present(ARGV[1])
local values = {}
for index = 2, #ARGV do
  values[#values + 1] = read(redis.call('HGET', KEYS[1], ARGV[index]), now) or false
end
return values
