-- Ends deliveries: for each the record of it goes, and with that its result is stored, what follows is
-- published, and the message goes where its verdict says.
-- KEYS  1 consumers, 2 the consumer, 3 dead letters (zset by id), 4 ids of dead letters,
--       5 sequence of parked messages
-- ARGV  1 id, 2 now or '', 3 prefix of all keys, 4 separator, 5 prefix of notes on results, 6 expiries of results
--       or '', 7 number of deliveries, then by delivery:
--         its field, where a later start of it is noted or '',
--         verdict: A ack, R release; D dead letter, and then the reason; P park, and then the parked
--           messages of its queue (zset), step, due in ms,
--         results: 0 or 1, and then key, meta, ttl, state or '',
--         messages: how many, and then by message: queue or '' when it is known to be declared, list, parked,
--           step, due or '', message
--       then the number of steps of workflows, and if there are any the base of Celery's keys of groups, and then by
--       step: the place of its delivery, from 1 on, and the step
-- Returns one character by delivery: 1 when it was held and is settled, 0 when it was not.

local consumer, consumers = KEYS[2], KEYS[1]
local prefix = ARGV[3]
local now = present(ARGV[2])
if not has_lease(consumers, ARGV[1], now) then
  return ''
end

-- Goes back to the front when all else is done, the last first, so that what was released in order stands
-- in order.
local released = {}
local answers = {}
local at = 8

for _ = 1, tonumber(ARGV[7]) do
  local field, later, verdict = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  local raw, started
  local is_held
  if verdict == 'A' then
    is_held = redis.call('HDEL', consumer, field) == 1
  else
    raw = redis.call('HGET', consumer, field)
    is_held = raw ~= false
    if is_held then
      started = later == '' or redis.call('HEXISTS', consumer, later) == 1
      redis.call('HDEL', consumer, field)
    end
  end
  -- Where it was parked, if it was claimed from there.
  local place = false
  if is_held and later ~= '' then
    local noted = 'parked:' .. string.match(field, '%d+$')
    if verdict == 'R' then
      place = redis.call('HGET', consumer, noted)
    end
    redis.call('HDEL', consumer, later, noted)
  end
  answers[#answers + 1] = is_held and '1' or '0'

  local reason, parked, step, due
  if verdict == 'D' then
    reason = ARGV[at]
    at = at + 1
  elseif verdict == 'P' then
    parked, step, due = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    at = at + 3
  end
  local has_result = ARGV[at] == '1'
  at = at + 1
  if has_result then
    if is_held then
      store_result(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[5], ARGV[6], now)
    end
    at = at + 4
  end
  if is_held and verdict ~= 'A' then
    local lane = tonumber(string.match(field, '^%d+'))
    local list = redis.call('HGET', consumer, 'list:' .. lane)
    if verdict == 'R' then
      -- As it came: whatever start was counted is taken back.
      if not park_again(place, raw, now) then
        released[#released + 1] = { list, raw }
      end
    elseif verdict == 'P' then
      publish(list, parked, KEYS[5], step, due, raw, now)
    else
      local count, bare = deliveries(raw)
      if started then
        count = count + 1
      end
      local steps = tonumber(redis.call('HGET', consumer, 'steps'))
      local queue = redis.call('HGET', consumer, 'queue:' .. math.floor(lane / steps))
      local id = redis.call('INCR', KEYS[4])
      redis.call('HSET', prefix .. 'aipo:letter:' .. id, 'queue', queue, 'list', list, 'reason', reason,
        'died', now, 'deliveries', count, 'message', bare)
      redis.call('ZADD', KEYS[3], id, id)
      redis.call('ZADD', prefix .. 'aipo:dead:' .. queue, id, id)
    end
  end

  local messages = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, messages do
    if is_held then
      if ARGV[at] ~= '' then
        declare(prefix, ARGV[4], ARGV[at])
      end
      publish(ARGV[at + 1], ARGV[at + 2], KEYS[5], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], now)
    end
    at = at + 6
  end
end
local steps = tonumber(ARGV[at])
if steps > 0 then
  local place = {
    prefix = prefix,
    base = ARGV[at + 1],
    now = now,
    clocked = ARGV[6] ~= '',
    notes = ARGV[5],
    result_expiries = ARGV[6],
  }
  at = at + 2
  for _ = 1, steps do
    at = take_step(at + 1, place, answers[tonumber(ARGV[at])] == '1')
  end
end
for index = #released, 1, -1 do
  redis.call('RPUSH', released[index][1], released[index][2])
end
return table.concat(answers)
