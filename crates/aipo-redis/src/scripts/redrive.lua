-- Puts dead letters back at the ends of their lists, with nothing counted.
-- KEYS  1 dead letters (zset by id)
-- ARGV  1 prefix of all keys, 2… the ids
-- Returns how many of them were there.

local prefix = ARGV[1]
local found = 0
for index = 2, #ARGV do
  local id = ARGV[index]
  local letter = prefix .. 'aipo:letter:' .. id
  local queue, list, raw = unpack(redis.call('HMGET', letter, 'queue', 'list', 'message'))
  if queue then
    redis.call('LPUSH', list, raw)
    redis.call('DEL', letter)
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZREM', prefix .. 'aipo:dead:' .. queue, id)
    found = found + 1
  end
end
return found
