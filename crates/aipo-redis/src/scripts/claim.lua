-- Takes messages that wait out of one line for a consumer, each of them if it is still there.
-- KEYS  1 consumers, 2 the consumer, 3 the line: a list, or the parked messages of a queue (zset)
-- ARGV  1 id, 2 now or '', 3 number of the first message, then by message: its lane, its due time where it is parked
--       or '', and what it is in the line
-- Returns 'lost' when the lease is over, else one character by message: 1 when it was taken, 0 when it was not there.
--
-- What is taken lies in the consumer's hash as after a fetch (fetch.lua), not started.

local now = present(ARGV[2])
if not has_lease(KEYS[1], ARGV[1], now) then
  return 'lost'
end
local consumer, line = KEYS[2], KEYS[3]
local answers = {}
for index = 4, #ARGV, 3 do
  local lane, due, member = ARGV[index], ARGV[index + 1], ARGV[index + 2]
  local number = string.format('%.0f', tonumber(ARGV[3]) + #answers)
  local raw, removed = member, 0
  if due == '' then
    removed = redis.call('LREM', line, 1, member)
  else
    removed = redis.call('ZREM', line, member)
    local origin, rest = string.match(member, '^(%d+:%d+):()')
    raw = string.sub(member, rest)
    if removed == 1 then
      note_parked(consumer, number, due, origin, line)
    end
  end
  if removed == 1 then
    redis.call('HSET', consumer, lane .. ':0:' .. number, raw)
  end
  answers[#answers + 1] = removed
end
return table.concat(answers)
