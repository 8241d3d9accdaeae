-- Stores results, all of them together.
-- KEYS  none
-- ARGV  1 now or '', 2 prefix of notes, 3 expiries of results or '', then by result: key, meta, ttl, state or ''
-- Returns nothing.

local now = ARGV[3] ~= '' and present(ARGV[1])
for index = 4, #ARGV, 4 do
  store_result(ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3], ARGV[2], ARGV[3], now)
end
