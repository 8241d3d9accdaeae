-- Does all of a workflow's step, or passes over it. It stands in ARGV from `at` on:
--   results: how many, then by result: key, meta, ttl, state or '';
--   chords that begin: how many, then by chord: group, size, structure or '', ttl;
--   chords that grow: how many, then their groups;
--   parts: how many, then by part: group, what tells it from others, score, member, body, ttl;
--   facts to keep: how many, then by fact: name, value, ttl;
--   facts to forget: how many, then their names
-- with times to live in milliseconds, '' for ever. The place also has what `store_result` takes: notes, and
-- result_expiries.
-- Returns where in ARGV the next thing stands.
local function take_step(at, place, is_wanted)
  for _ = 1, tonumber(ARGV[at]) do
    if is_wanted then
      local key, meta, ttl, state = unpack(ARGV, at + 1, at + 4)
      store_result(key, meta, ttl, state, place.notes, place.result_expiries, place.now)
    end
    at = at + 4
  end
  at = at + 1
  for _ = 1, tonumber(ARGV[at]) do
    if is_wanted then
      open_chord(place, unpack(ARGV, at + 1, at + 4))
    end
    at = at + 4
  end
  at = at + 1
  for _ = 1, tonumber(ARGV[at]) do
    if is_wanted then
      grow_chord(place, ARGV[at + 1])
    end
    at = at + 1
  end
  at = at + 1
  for _ = 1, tonumber(ARGV[at]) do
    if is_wanted then
      count_part(place, unpack(ARGV, at + 1, at + 6))
    end
    at = at + 6
  end
  local facts = {
    place.prefix .. 'aipo:facts',
    place.prefix .. 'aipo:fact-names',
    place.prefix .. 'aipo:fact-expiries',
  }
  at = at + 1
  for _ = 1, tonumber(ARGV[at]) do
    if is_wanted then
      local name, value, ttl = unpack(ARGV, at + 1, at + 3)
      write(facts, name, value, '', ttl, place.now)
    end
    at = at + 3
  end
  at = at + 1
  for _ = 1, tonumber(ARGV[at]) do
    if is_wanted then
      erase(facts, ARGV[at + 1])
    end
    at = at + 1
  end
  return at + 1
end
