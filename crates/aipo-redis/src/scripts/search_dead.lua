-- Finds dead letters that contain one of some texts, from the newest on. Nothing is changed.
-- KEYS  1 dead letters (zset by id)
-- ARGV  1 below which id, or '+inf', 2 letters at most, 3 prefix of the keys of letters, 4… the texts
-- Returns the lowest id looked at, or '' when there was none, then by find: queue, message.

local reply = { '' }
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '-inf', 'LIMIT', 0, ARGV[2])) do
  reply[1] = id
  local queue, raw = unpack(redis.call('HMGET', ARGV[3] .. id, 'queue', 'message'))
  for text = 4, #ARGV do
    if raw and string.find(raw, ARGV[text], 1, true) then
      reply[#reply + 1] = queue
      reply[#reply + 1] = raw
      break
    end
  end
end
return reply
