-- Chords are counted in the keys of Celery's backend and by its rules, so that workers of both kinds share the
-- parts of one. Who counts the last part sets the claim: a Python worker for some seconds, in which it goes on by
-- itself; a script of ours for as long as the chord is kept, since the chord then stands in a list that any aipo
-- worker takes it from.
--
-- A place says where chords are: prefix of aipo's keys, base of Celery's, now, and whether the store has a
-- clock of its own (clocked), by which expiries are then kept beside.
local OURS = 'aipo'
-- How long, in seconds, Celery keeps it in mind that a chord is finished.
local DONE_FOR = 300

-- Forgets all of a chord.
local function forget_chord(place, chord)
  redis.call('DEL', chord.parts, chord.more, chord.size, chord.counted, chord.claim, chord.meta, chord.body)
  redis.call('ZREM', place.prefix .. 'aipo:chord-expiries', chord.group)
  redis.call('ZREM', place.prefix .. 'aipo:chords', chord.group)
end

-- The keys of a chord.
local function chord_of(place, group)
  local key = place.base .. group
  local chord = {
    group = group,
    parts = key .. '.j',
    more = key .. '.t',
    size = key .. '.s',
    counted = key .. '.d',
    claim = key .. '.c',
    meta = key,
    body = place.prefix .. 'aipo:chord:' .. group,
  }
  if place.clocked then
    local expires = redis.call('ZSCORE', place.prefix .. 'aipo:chord-expiries', group)
    if expires and tonumber(expires) <= place.now then
      forget_chord(place, chord)
    end
  end
  return chord
end

-- Keeps a chord for some milliseconds more; '' is for ever. A claim of a Python worker has a time of its own.
local function keep_chord(place, chord, ttl)
  if place.clocked then
    if ttl == '' then
      redis.call('ZREM', place.prefix .. 'aipo:chord-expiries', chord.group)
    else
      redis.call('ZADD', place.prefix .. 'aipo:chord-expiries', place.now + ttl, chord.group)
    end
    return
  end
  local keys = { chord.parts, chord.more, chord.size, chord.counted, chord.meta, chord.body }
  if redis.call('GET', chord.claim) == OURS then
    keys[#keys + 1] = chord.claim
  end
  for _, key in ipairs(keys) do
    if ttl == '' then
      redis.call('PERSIST', key)
    else
      redis.call('PEXPIRE', key, ttl)
    end
  end
end

-- Python's setting `result_chord_ordered` turned off makes it a list.
local function is_list(chord)
  return redis.call('TYPE', chord.parts).ok == 'list'
end

-- Whether a chord is complete and ours to go on with. After each change of it, so that the list of such chords is
-- right.
local function is_complete(place, chord)
  local size = redis.call('GET', chord.size)
  local done = redis.call(is_list(chord) and 'LLEN' or 'ZCARD', chord.parts)
  local is_ours = redis.call('GET', chord.claim) == OURS
  if not size or done ~= size + (redis.call('GET', chord.more) or 0) then
    if is_ours then
      redis.call('DEL', chord.claim)
      redis.call('ZREM', place.prefix .. 'aipo:chords', chord.group)
    end
    return false
  end
  if not is_ours then
    if not redis.call('SET', chord.claim, OURS, 'NX') then
      return false
    end
    local left = redis.call('PTTL', chord.size)
    if left > 0 then
      redis.call('PEXPIRE', chord.claim, left)
    end
    redis.call('ZADD', place.prefix .. 'aipo:chords', place.now, chord.group)
  end
  return true
end

-- structure: '' for none
local function open_chord(place, group, size, structure, ttl)
  local chord = chord_of(place, group)
  if redis.call('GET', chord.claim) ~= OURS then
    redis.call('DEL', chord.claim)
  end
  redis.call('SET', chord.size, size)
  if structure ~= '' then
    redis.call('SET', chord.meta, structure)
  end
  is_complete(place, chord)
  keep_chord(place, chord, ttl)
end

local function grow_chord(place, group)
  local chord = chord_of(place, group)
  local left = redis.call('PTTL', chord.size)
  redis.call('INCRBY', chord.more, 1)
  if left > 0 then
    redis.call('PEXPIRE', chord.more, left)
  end
  is_complete(place, chord)
end

-- part: what tells it from all others; body: what to do when the chord is complete
local function count_part(place, group, part, score, member, body, ttl)
  local chord = chord_of(place, group)
  if redis.call('GET', chord.claim) == 'done' then
    if redis.call('SISMEMBER', chord.counted, part) == 1 then
      return
    end
    -- It may be sent once more by a Python program, which opens a chord only when it has sent all but the last of its
    -- header. What is counted until then is kept for a while.
    ttl = math.min(tonumber(ttl) or math.huge, DONE_FOR * 1000)
  end
  local is_new = redis.call('SADD', chord.counted, part) == 1
  if is_new then
    if is_list(chord) then
      redis.call('RPUSH', chord.parts, member)
    else
      redis.call('ZADD', chord.parts, score, member)
    end
  end
  if is_new and body ~= '' then
    redis.call('SET', chord.body, body)
  else
    -- It may have been counted by a Python worker, which keeps no body here.
    redis.call('SET', chord.body, body, 'NX')
  end
  is_complete(place, chord)
  keep_chord(place, chord, ttl)
end

-- Whether a part of a chord did not succeed. What is kept of such a chord is left to expire, as Celery leaves it, for
-- whoever wants to see which part it was.
local function has_failed(chord)
  for _, member in ipairs(redis.call(is_list(chord) and 'LRANGE' or 'ZRANGE', chord.parts, 0, -1)) do
    if not string.find(member, '", "SUCCESS", ', 1, true) then
      return true
    end
  end
  return false
end

-- Ends a chord; false when there is none that is complete.
local function finish_chord(place, group)
  local chord = chord_of(place, group)
  if not is_complete(place, chord) then
    return false
  end
  redis.call('DEL', chord.more, chord.size, chord.body)
  if not has_failed(chord) then
    redis.call('DEL', chord.parts, chord.counted)
  end
  redis.call('ZREM', place.prefix .. 'aipo:chords', group)
  if place.clocked then
    redis.call('SET', chord.claim, 'done')
  else
    redis.call('SET', chord.claim, 'done', 'EX', DONE_FOR)
  end
  return true
end
