-- Finds dead letters that may be of one of some tasks, from the newest on. Nothing is changed.
-- KEYS  1 dead letters (zset by id)
-- ARGV  1 below which id, or '+inf', 2 letters at most, 3 prefix of the keys of letters, 4… the texts
-- Returns the lowest id looked at, or '' when there was none, then by find: queue, message.

local texts = texts_from(4)
local reply = { '' }
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '-inf', 'LIMIT', 0, ARGV[2])) do
  reply[1] = id
  local queue, raw = unpack(redis.call('HMGET', ARGV[3] .. id, 'queue', 'message'))
  if raw and names_one(raw, texts) then
    reply[#reply + 1] = queue
    reply[#reply + 1] = raw
  end
end
return reply
