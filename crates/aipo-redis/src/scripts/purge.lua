-- Deletes the ready and parked messages of a queue.
-- KEYS  1 its parked messages (zset), 2… its lists
-- Returns how many they were.

local purged = redis.call('ZCARD', KEYS[1])
for index = 2, #KEYS do
  purged = purged + redis.call('LLEN', KEYS[index])
end
redis.call('UNLINK', unpack(KEYS))
return purged
