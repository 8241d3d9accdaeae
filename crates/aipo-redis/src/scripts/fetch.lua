-- Moves messages from the lists of a consumer's queues to what the consumer holds, the most urgent
-- first, after making ready what was parked and is due.
-- KEYS  1 consumers, 2 the consumer, 3 the last number of the log of what was revoked, then by queue: its parked
--       messages (zset), its lists by step
-- ARGV  1 id, 2 now or '', 3 number of the first message, 4 how many at most, 5 how many of them, from the
--       first on, are started, unless they were started before; 6 the queue whose turn it is, 7 how many steps
--       there are, then the steps, then by queue its place
-- Returns 'lost' when the lease is over; 'late' when numbers from there on were given up meanwhile
--         (abandon.lua); else now, `next`, the last number of the log or 0, and then by message: twice its lane,
--         plus one if it is started, and the message. `next` is '' or, with nothing to take, the time when the
--         next parked message is due.
--
-- What is held lies in the consumer's hash under "lane:started:number"; a lane is one list of one queue. With
-- nothing to take, everything that a publish changes is read here, so that the server tells the
-- connection of the next change (CLIENT TRACKING).

-- Parked messages made ready at most, for each queue.
local MAX_DUE = 500
-- Messages in one command, and bytes after which no more are taken.
local CHUNK, MAX_BYTES = 32, 4 * 1024 * 1024

local consumer = KEYS[2]
local now = present(ARGV[2])
local first, max, started, turn =
  tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local steps = tonumber(ARGV[7])
local width = steps + 1
local queues = (#KEYS - 3) / width

if not has_lease(KEYS[1], ARGV[1], now) then
  return 'lost'
end
local floor = redis.call('HGET', consumer, 'floor')
if floor and first < tonumber(floor) then
  return 'late'
end

for queue = 0, queues - 1 do
  local parked = KEYS[4 + queue * width]
  local due = redis.call('ZRANGEBYSCORE', parked, '-inf', now, 'LIMIT', 0, MAX_DUE)
  for _, member in ipairs(due) do
    local step, rest = string.match(member, '^%d+:(%d+):()')
    local list = KEYS[5 + queue * width]
    for index = 1, steps do
      if ARGV[7 + index] == step then
        list = KEYS[4 + queue * width + index]
      end
    end
    redis.call('LPUSH', list, string.sub(member, rest))
    redis.call('ZREM', parked, member)
  end
end

local reply = { now, '', tonumber(redis.call('GET', KEYS[3]) or 0) }
local taken, bytes = 0, 0
local dry = {}
for step = 1, steps do
  local flowing = queues
  while flowing > 0 and taken < max and bytes < MAX_BYTES do
    flowing = 0
    local share = math.min(CHUNK, math.ceil((max - taken) / queues))
    for offset = 0, queues - 1 do
      local queue = (turn + offset) % queues
      local list = KEYS[4 + queue * width + step]
      local wanted = math.min(share, max - taken)
      if not dry[list] and wanted > 0 and bytes < MAX_BYTES then
        local messages = redis.call('RPOP', list, wanted) or {}
        local lane = ARGV[8 + steps + queue] * steps + step - 1
        local held = {}
        for _, raw in ipairs(messages) do
          local start = taken < started and deliveries(raw) == 0 and 1 or 0
          held[#held + 1] = string.format('%d:%d:%.0f', lane, start, first + taken)
          held[#held + 1] = raw
          reply[#reply + 1] = 2 * lane + start
          reply[#reply + 1] = raw
          taken = taken + 1
          bytes = bytes + #raw
        end
        if #messages > 0 then
          redis.call('HSET', consumer, unpack(held))
        end
        if #messages < wanted then
          dry[list] = true
        else
          flowing = flowing + 1
        end
      end
    end
  end
end

if taken == 0 then
  local lists = {}
  for queue = 0, queues - 1 do
    local parked = KEYS[4 + queue * width]
    local earliest = redis.call('ZRANGE', parked, 0, 0, 'WITHSCORES')[2]
    if earliest and (reply[2] == '' or tonumber(earliest) < tonumber(reply[2])) then
      reply[2] = earliest
    end
    for step = 1, steps do
      lists[#lists + 1] = KEYS[4 + queue * width + step]
    end
  end
  for index = 1, #lists, 1000 do
    redis.call('EXISTS', unpack(lists, index, math.min(index + 999, #lists)))
  end
end
return reply
