-- Appends entries to a log, all of them together.
-- KEYS  1 the log (zset by number), 2 its last number, 3 expiries of the entries of all logs (zset)
-- ARGV  1 now or '', 2 name of the log, 3 time to live in ms, 4… the values
-- Returns the number of the last entry.

local expires = string.format('%.0f', present(ARGV[1]) + ARGV[3])
local last = redis.call('INCRBY', KEYS[2], #ARGV - 3)
local before = last - (#ARGV - 3)
for index = 4, #ARGV do
  local number = string.format('%.0f', before + index - 3)
  redis.call('ZADD', KEYS[1], number, expires .. ':' .. number .. ':' .. ARGV[index])
  redis.call('ZADD', KEYS[3], expires, number .. ':' .. ARGV[2])
end
return last
