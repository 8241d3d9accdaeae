-- Finds messages that may be of one of some tasks among all that consumers hold. Nothing is changed.
-- KEYS  1 consumers
-- ARGV  1 prefix of the keys of consumers, 2… the texts
-- Returns by find: name of the consumer, queue, message.

local texts = texts_from(2)
local reply = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local consumer = ARGV[1] .. id
  local name, steps = unpack(redis.call('HMGET', consumer, 'name', 'steps'))
  for _, field in ipairs(redis.call('HKEYS', consumer)) do
    local lane = string.match(field, '^(%d+):[01]:%d+$')
    if lane then
      local raw = redis.call('HGET', consumer, field)
      if names_one(raw, texts) then
        reply[#reply + 1] = name
        reply[#reply + 1] = redis.call('HGET', consumer, 'queue:' .. math.floor(tonumber(lane) / tonumber(steps)))
        reply[#reply + 1] = raw
      end
    end
  end
end
return reply
