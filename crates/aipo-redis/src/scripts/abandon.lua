-- Gives up a fetch whose answer was never read: what it took goes back as if it had not been taken, and
-- if it has not been run yet it never will be (fetch.lua looks at the floor).
-- KEYS  1 consumers, 2 the consumer
-- ARGV  1 id, 2 now or '', 3 number of the first message of the fetch, 4 number after its last
-- Returns 'lost' when the lease is over, else nothing.

local now = present(ARGV[2])
if not has_lease(KEYS[1], ARGV[1], now) then
  return 'lost'
end
local first, past = tonumber(ARGV[3]), tonumber(ARGV[4])
local floor = tonumber(redis.call('HGET', KEYS[2], 'floor') or 0)
if past > floor then
  redis.call('HSET', KEYS[2], 'floor', ARGV[4])
end
local taken = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
  local lane, number = string.match(field, '^(%d+):[01]:(%d+)$')
  number = tonumber(number)
  if lane and number >= first and number < past then
    taken[#taken + 1] = { field = field, lane = lane, number = number }
  end
end
table.sort(taken, function(a, b)
  return a.number > b.number
end)
for _, message in ipairs(taken) do
  local list = redis.call('HGET', KEYS[2], 'list:' .. message.lane)
  redis.call('RPUSH', list, redis.call('HGET', KEYS[2], message.field))
  redis.call('HDEL', KEYS[2], message.field, string.format('started:%.0f', message.number))
end
