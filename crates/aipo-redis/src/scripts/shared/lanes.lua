-- Notes queues of a consumer, which it names by their places from then on, and makes them known. A lane is one
-- list of one queue.
-- ARGV of every script that does so:
--       3 prefix of all keys, 4 separator, 5 steps by queue, 6 place of the first queue, 7 number of queues, then
--       the queues, then the lists of all of them, by queue and step
local function add_queues(consumer)
  local steps, first, queues = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
  for queue = 0, queues - 1 do
    local name = ARGV[8 + queue]
    declare(ARGV[3], ARGV[4], name)
    redis.call('HSET', consumer, 'queue:' .. first + queue, name)
  end
  for lane = 0, queues * steps - 1 do
    redis.call('HSET', consumer, 'list:' .. first * steps + lane, ARGV[8 + queues + lane])
  end
end

