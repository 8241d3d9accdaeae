-- Tells what queues hold.
-- KEYS  1 queues (set), 2 consumers
-- ARGV  1 now or '', 2 prefix of all keys, 3 separator, 4… the steps
-- Returns by queue: name, ready, parked, in flight, dead.

local now = present(ARGV[1])
local prefix, sep = ARGV[2], ARGV[3]

local in_flight = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local consumer = prefix .. 'aipo:consumer:' .. id
  local steps = tonumber(redis.call('HGET', consumer, 'steps'))
  local by_queue = {}
  for _, field in ipairs(redis.call('HKEYS', consumer)) do
    local lane = string.match(field, '^(%d+):[01]:%d+$')
    if lane then
      local queue = math.floor(tonumber(lane) / steps)
      by_queue[queue] = (by_queue[queue] or 0) + 1
    end
  end
  for queue, count in pairs(by_queue) do
    local name = redis.call('HGET', consumer, 'queue:' .. queue)
    in_flight[name] = (in_flight[name] or 0) + count
  end
end

local reply = {}
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local ready = 0
  for index = 4, #ARGV do
    local list = prefix .. queue
    if ARGV[index] ~= '0' then
      list = list .. sep .. ARGV[index]
    end
    ready = ready + redis.call('LLEN', list)
  end
  local parked = prefix .. 'aipo:parked:' .. queue
  -- What is due can be fetched, though it is made ready only by the next fetch.
  local due = redis.call('ZCOUNT', parked, '-inf', now)
  reply[#reply + 1] = queue
  reply[#reply + 1] = ready + due
  reply[#reply + 1] = redis.call('ZCARD', parked) - due
  reply[#reply + 1] = in_flight[queue] or 0
  reply[#reply + 1] = redis.call('ZCARD', prefix .. 'aipo:dead:' .. queue)
end
return reply
