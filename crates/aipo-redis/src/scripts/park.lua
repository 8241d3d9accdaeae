-- Puts messages that were fetched before they are due aside until then.
-- KEYS  1 consumers, 2 the consumer, 3 sequence of parked messages
-- ARGV  1 id, 2 now or '', then by message: its field, the parked messages of its queue (zset), step, due in ms
-- Returns 'lost' when the lease is over, else nothing.

local now = present(ARGV[2])
if not has_lease(KEYS[1], ARGV[1], now) then
  return 'lost'
end
for index = 3, #ARGV, 4 do
  local raw = redis.call('HGET', KEYS[2], ARGV[index])
  if raw then
    local number = string.format('%016d', redis.call('INCR', KEYS[3]))
    local member = number .. ':' .. ARGV[index + 2] .. ':' .. raw
    redis.call('ZADD', ARGV[index + 1], ARGV[index + 3], member)
    redis.call('HDEL', KEYS[2], ARGV[index])
  end
end
