-- Puts a message at the end of its list, or aside until it is due (a moment in ms, '' for at once).
-- The score of a parked message is its due time; in front of the message stand a number, which keeps those
-- that are due together in order, and the priority step of the list it goes to.
local function publish(list, parked, sequence, step, due, raw, now)
  if due == '' or tonumber(due) <= now then
    redis.call('LPUSH', list, raw)
  else
    local number = string.format('%016d', redis.call('INCR', sequence))
    redis.call('ZADD', parked, due, number .. ':' .. step .. ':' .. raw)
  end
end

-- Makes a queue known: to aipo, and to Celery's table of bindings, as a queue that stays.
local function declare(prefix, sep, queue)
  local member = queue .. sep .. sep .. queue
  redis.call('SADD', prefix .. 'aipo:queues', queue)
  redis.call('SADD', prefix .. '_kombu.binding.' .. queue, member)
  redis.call('SADD', prefix .. '_kombu.binding_permanent.' .. queue, member)
end

