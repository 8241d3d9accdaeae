-- Whether a consumer's lease lies ahead of now.
local function has_lease(consumers, id, now)
  local lease_end = redis.call('ZSCORE', consumers, id)
  return lease_end and tonumber(lease_end) > now
end

