-- Takes chords that are complete, those first that are so for the longest time.
-- KEYS  none
-- ARGV  1 now or '', 2 prefix of all keys, 3 base of Celery's keys of groups, 4 whether the store has a clock of its
--       own: 1 or '', 5 how many at most, 6 claim in ms
-- Returns by chord: group, body, structure or nil, its parts.

local now = present(ARGV[1])
local place = { prefix = ARGV[2], base = ARGV[3], now = now, clocked = ARGV[4] ~= '' }
local limit = tonumber(ARGV[5])
local list = place.prefix .. 'aipo:chords'
local taken = {}
repeat
  local groups = redis.call('ZRANGEBYSCORE', list, '-inf', now, 'LIMIT', #taken, limit - #taken)
  for _, group in ipairs(groups) do
    local chord = chord_of(place, group)
    if is_complete(place, chord) then
      taken[#taken + 1] = {
        group,
        redis.call('GET', chord.body) or '',
        redis.call('GET', chord.meta),
        redis.call(is_list(chord) and 'LRANGE' or 'ZRANGE', chord.parts, 0, -1),
      }
    else
      -- It was forgotten, or Python let it grow.
      redis.call('ZREM', list, group)
    end
  end
until #groups == 0 or #taken == limit
for _, chord in ipairs(taken) do
  redis.call('ZADD', list, now + ARGV[6], chord[1])
end
return taken
