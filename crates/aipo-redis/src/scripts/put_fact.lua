-- Sets a fact, whatever was there; a claim on it ends.
-- KEYS  1 facts, 2 names, 3 expiries
-- ARGV  1 now or '', 2 name, 3 value, 4 time to live in ms, '' for ever
-- Returns nothing.

write(KEYS, ARGV[2], ARGV[3], '', ARGV[4], present(ARGV[1]))
