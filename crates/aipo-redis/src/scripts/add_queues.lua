-- Notes further queues of a consumer.
-- KEYS  1 consumers, 2 the consumer
-- ARGV  1 id, 2 now or '', 3… as in shared/lanes.lua
-- Returns 'lost' when the lease is over, else nothing.

if not has_lease(KEYS[1], ARGV[1], present(ARGV[2])) then
  return 'lost'
end
add_queues(KEYS[2])
