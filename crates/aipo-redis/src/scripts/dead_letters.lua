-- Tells dead letters, the newest first.
-- KEYS  1 which: all or those of a queue (zset by id)
-- ARGV  1 below which id, or '+inf', 2 letters at most, 3 prefix of the keys of letters
-- Returns by letter: id, queue, reason, time of death in ms, deliveries, message.

local reply = {}
for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '-inf', 'LIMIT', 0, ARGV[2])) do
  local letter =
    redis.call('HMGET', ARGV[3] .. id, 'queue', 'reason', 'died', 'deliveries', 'message')
  if letter[1] then
    reply[#reply + 1] = id
    for index = 1, 5 do
      reply[#reply + 1] = letter[index]
    end
  end
end
return reply
