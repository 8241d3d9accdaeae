-- Reads results by a clock of the store's own, which the server does not know.
-- KEYS  1 expiries of results (zset), 2… the results
-- ARGV  1 now
-- Returns by result: its meta, or nothing when there is none or it has expired.

local now = present(ARGV[1])
local metas = {}
for index = 2, #KEYS do
  local meta = redis.call('GET', KEYS[index])
  local expires = redis.call('ZSCORE', KEYS[1], KEYS[index])
  if expires and tonumber(expires) <= now then
    meta = false
  end
  metas[#metas + 1] = meta
end
return metas
