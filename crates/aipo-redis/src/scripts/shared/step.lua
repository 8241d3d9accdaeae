local function keep_result(place, key, meta, ttl, state)
  store_result(key, meta, ttl, state, place.notes, place.result_expiries, place.now)
end

local function fact_keys(prefix)
  return { prefix .. 'aipo:facts', prefix .. 'aipo:fact-names', prefix .. 'aipo:fact-expiries' }
end

local function keep_fact(place, name, value, ttl)
  write(fact_keys(place.prefix), name, value, '', ttl, place.now)
end

local function forget_fact(place, name)
  erase(fact_keys(place.prefix), name)
end

-- Does `act` with each of what stands in ARGV behind their number at `at`, `width` values each, or passes over them.
-- Returns where the next thing stands.
local function each(at, width, place, is_wanted, act)
  local last = at + tonumber(ARGV[at]) * width
  if is_wanted then
    for first = at + 1, last, width do
      act(place, unpack(ARGV, first, first + width - 1))
    end
  end
  return last + 1
end

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
  at = each(at, 4, place, is_wanted, keep_result)
  at = each(at, 4, place, is_wanted, open_chord)
  at = each(at, 1, place, is_wanted, grow_chord)
  at = each(at, 6, place, is_wanted, count_part)
  at = each(at, 3, place, is_wanted, keep_fact)
  return each(at, 1, place, is_wanted, forget_fact)
end
