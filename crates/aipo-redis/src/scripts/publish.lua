-- Puts messages into queues: all of them or, when a key holds something else than it should, none.
-- KEYS  1 sequence of parked messages
-- ARGV  1 now or '', then by message: list, parked (zset), step, due in ms or '', message
-- Returns nothing.

local now = present(ARGV[1])
local checked = {}
for index = 2, #ARGV, 5 do
  local list, parked, due = ARGV[index], ARGV[index + 1], ARGV[index + 3]
  local key, wanted = list, 'list'
  if due ~= '' and tonumber(due) > now then
    key, wanted = parked, 'zset'
  end
  if not checked[key] then
    local found = redis.call('TYPE', key).ok
    if found ~= wanted and found ~= 'none' then
      return redis.error_reply('WRONGTYPE the key of a queue holds a ' .. found)
    end
    checked[key] = true
  end
end
for index = 2, #ARGV, 5 do
  local list, parked, step, due, raw = unpack(ARGV, index, index + 4)
  publish(list, parked, KEYS[1], step, due, raw, now)
end
