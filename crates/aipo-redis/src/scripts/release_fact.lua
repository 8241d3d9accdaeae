-- Deletes a fact: if it is claimed under this number, or in any case when none is given.
-- KEYS  1 facts, 2 names, 3 expiries
-- ARGV  1 now or '', 2 name, 3 number of the claim or ''
-- Returns 1 when it was deleted, else 0.

if ARGV[3] ~= '' then
  local _, fence = read(redis.call('HGET', KEYS[1], ARGV[2]), present(ARGV[1]))
  if fence ~= ARGV[3] then
    return 0
  end
end
erase(KEYS, ARGV[2])
return 1
