-- Reads a page of the facts whose name lies between two bounds (as of ZRANGEBYLEX), by name.
-- KEYS  1 facts, 2 names, 3 expiries
-- ARGV  1 now or '', 2 lower bound, 3 upper bound, 4 names at most
-- Returns the last name looked at, or nothing after the last page, then by fact: name, value.

local now = present(ARGV[1])
local names = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
local reply = { #names == tonumber(ARGV[4]) and names[#names] }
for _, name in ipairs(names) do
  local value = read(redis.call('HGET', KEYS[1], name), now)
  if value then
    reply[#reply + 1] = name
    reply[#reply + 1] = value
  end
end
return reply
