-- Counts the start of messages that were fetched uncounted: all of them, or none when one is not
-- held. One that is counted already is not counted again.
-- KEYS  1 consumers, 2 the consumer
-- ARGV  1 id, 2 now or '', then by message: its field, and where its start is noted or '' when it
--       was counted by the fetch
-- Returns 'lost' when the lease is over or one is not held, else nothing.

local now = present(ARGV[2])
if not has_lease(KEYS[1], ARGV[1], now) then
  return 'lost'
end
for index = 3, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[2], ARGV[index]) == 0 then
    return 'lost'
  end
end
for index = 3, #ARGV, 2 do
  if ARGV[index + 1] ~= '' then
    redis.call('HSET', KEYS[2], ARGV[index + 1], '')
  end
end
