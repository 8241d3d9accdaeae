-- Reads how the results of a group are nested.
-- KEYS  none
-- ARGV  1 now or '', 2 prefix of all keys, 3 base of Celery's keys of groups, 4 whether the store has a clock of its
--       own: 1 or '', 5 group
-- Returns the meta, or nil when there is none or it has expired.

local place = { prefix = ARGV[2], base = ARGV[3], now = present(ARGV[1]), clocked = ARGV[4] ~= '' }
return redis.call('GET', chord_of(place, ARGV[5]).meta)
