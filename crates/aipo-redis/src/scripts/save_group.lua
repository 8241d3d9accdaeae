-- Saves how the results of a group are nested, where Celery does.
-- KEYS  none
-- ARGV  1 now or '', 2 prefix of all keys, 3 base of Celery's keys of groups, 4 whether the store has a clock of its
--       own: 1 or '', 5 group, 6 meta, 7 ttl in ms or ''
-- Returns nothing.

local place = { prefix = ARGV[2], base = ARGV[3], now = present(ARGV[1]), clocked = ARGV[4] ~= '' }
local chord = chord_of(place, ARGV[5])
redis.call('SET', chord.meta, ARGV[6])
keep_chord(place, chord, ARGV[7])
