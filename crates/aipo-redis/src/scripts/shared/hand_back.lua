-- Returns messages of a consumer to the fronts of their lists, or to where they were parked, at most `limit`, and
-- says how many were returned and how many are left. A start that was counted stays counted.
--
-- Those that were taken last go back first, so that within a list the order is as before.
local function hand_back(consumer, limit, now)
  local held, begun, parked = {}, {}, {}
  for _, field in ipairs(redis.call('HKEYS', consumer)) do
    local lane, started, number = string.match(field, '^(%d+):([01]):(%d+)$')
    if lane then
      held[#held + 1] =
        { field = field, lane = lane, started = started == '1', number = tonumber(number) }
    else
      local kind, noted = string.match(field, '^(%l+):(%d+)$')
      if kind == 'started' then
        begun[tonumber(noted)] = true
      elseif kind == 'parked' then
        parked[tonumber(noted)] = field
      end
    end
  end
  table.sort(held, function(a, b)
    return a.number > b.number
  end)
  local returned = math.min(limit, #held)
  for index = 1, returned do
    local message = held[index]
    local count, bare = deliveries(redis.call('HGET', consumer, message.field))
    if message.started or begun[message.number] then
      count = count + 1
    end
    local raw = with_deliveries(bare, count)
    local place = parked[message.number]
    if not park_again(place and redis.call('HGET', consumer, place), raw, now) then
      redis.call('RPUSH', redis.call('HGET', consumer, 'list:' .. message.lane), raw)
    end
    redis.call('HDEL', consumer, message.field, string.format('started:%.0f', message.number), place or '')
  end
  return returned, #held - returned
end

