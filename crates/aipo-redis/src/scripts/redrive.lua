-- Puts dead letters back at the ends of their lists, with nothing counted.
-- KEYS  1 dead letters (zset by id)
-- ARGV  1 prefix of all keys, 2… the ids
-- Returns how many of them were there.

local prefix = ARGV[1]
local found = 0
for index = 2, #ARGV do
  local id = ARGV[index]
  local list, raw = unpack(redis.call('HMGET', prefix .. 'aipo:letter:' .. id, 'list', 'message'))
  if raw then
    -- First, since a list that takes nothing ends the script here.
    redis.call('LPUSH', list, raw)
    forget_letter(KEYS[1], prefix, id)
    found = found + 1
  end
end
return found
