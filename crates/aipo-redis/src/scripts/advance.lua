-- Does a step of a workflow and publishes messages; when a chord is named, together with the chord's end, or not
-- at all if that one is not complete.
-- KEYS  1 sequence of parked messages
-- ARGV  1 now or '', 2 prefix of all keys, 3 separator, 4 prefix of notes on results, 5 expiries of results or '',
--       6 base of Celery's keys of groups, 7 whether a chord is to be finished: 1 or 0, 8 its group, then the
--       step, then messages: how many, and then by message: queue or '' when it is known to be declared, list, parked,
--         step, due or '', message
-- Returns whether it was done: 1 or 0.

local now = present(ARGV[1])
local place = {
  prefix = ARGV[2],
  base = ARGV[6],
  now = now,
  clocked = ARGV[5] ~= '',
  notes = ARGV[4],
  result_expiries = ARGV[5],
}
if ARGV[7] == '1' and not finish_chord(place, ARGV[8]) then
  return 0
end
local at = take_step(9, place, true)
for index = at + 1, #ARGV, 6 do
  local queue, list, parked, step, due, raw = unpack(ARGV, index, index + 5)
  if queue ~= '' then
    declare(ARGV[2], ARGV[3], queue)
  end
  publish(list, parked, KEYS[1], step, due, raw, now)
end
return 1
