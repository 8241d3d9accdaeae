
-- Where a message was parked when it was claimed is noted in its consumer's hash under "parked:number", as
--   due:member's number:step:key of the parked messages
-- so that it goes back there, under the same member, while it is not due.

local function note_parked(consumer, number, due, origin, parked)
  redis.call('HSET', consumer, 'parked:' .. number, due .. ':' .. origin .. ':' .. parked)
end

-- Parks a message again by such a note, if there is one and its time lies ahead; whether it did.
local function park_again(note, raw, now)
  local due, origin, parked = string.match(note or '', '^([^:]+):(%d+:%d+):(.*)$')
  if not due or tonumber(due) <= now then
    return false
  end
  redis.call('ZADD', parked, due, origin .. ':' .. raw)
  return true
end

