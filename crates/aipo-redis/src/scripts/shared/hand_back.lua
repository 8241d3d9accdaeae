-- Returns messages of a consumer to the fronts of their lists, at most `limit`, and says how many
-- were returned and how many are left. A start that was counted stays counted.
--
-- Those that were taken last go back first, so that within a list the order is as before.
local function hand_back(consumer, limit)
  local held, begun = {}, {}
  for _, field in ipairs(redis.call('HKEYS', consumer)) do
    local lane, started, number = string.match(field, '^(%d+):([01]):(%d+)$')
    if lane then
      held[#held + 1] =
        { field = field, lane = lane, started = started == '1', number = tonumber(number) }
    else
      local later = string.match(field, '^started:(%d+)$')
      if later then
        begun[tonumber(later)] = true
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
    local list = redis.call('HGET', consumer, 'list:' .. message.lane)
    redis.call('RPUSH', list, with_deliveries(bare, count))
    redis.call('HDEL', consumer, message.field, string.format('started:%.0f', message.number))
  end
  return returned, #held - returned
end

