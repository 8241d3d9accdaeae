-- Whether a stored result is a success. Celery's metas, and aipo's, begin with their status; the state of
-- bytes that tell none was noted beside them.
local function is_success(key, meta, notes)
  if string.find(meta, '^{"status": ?"') then
    return string.find(meta, '^{"status": ?"SUCCESS"') ~= nil
  end
  local is_json, object = pcall(cjson.decode, meta)
  if is_json and type(object) == 'table' and type(object.status) == 'string' then
    return object.status == 'SUCCESS'
  end
  return redis.call('GET', notes .. key) == 'SUCCESS'
end

-- Sets a key, with a time to live unless that is ''.
local function set(key, value, ttl)
  if ttl == '' then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PX', ttl)
  end
end

-- The same for a key that is not there; false when it is.
local function set_new(key, value, ttl)
  if ttl == '' then
    return redis.call('SET', key, value, 'NX')
  end
  return redis.call('SET', key, value, 'PX', ttl, 'NX')
end

-- Stores a result and tells who waits, unless there is a success (Celery's update rule).
--   ttl     milliseconds, '' for ever
--   state   to be noted beside a meta that does not tell it, else ''
--   expiry  '' where the server forgets results by itself; else the zset of their expiries by a
--           clock of the store's own, with now
local function store_result(key, meta, ttl, state, notes, expiry, now)
  local old
  if expiry == '' then
    -- Mostly there is none yet.
    if not set_new(key, meta, ttl) then
      old = redis.call('GET', key)
      if old and is_success(key, old, notes) then
        return
      end
      set(key, meta, ttl)
    end
  else
    old = redis.call('GET', key)
    local expires = redis.call('ZSCORE', expiry, key)
    if old and (not expires or tonumber(expires) > now) and is_success(key, old, notes) then
      return
    end
    redis.call('SET', key, meta)
    if ttl == '' then
      redis.call('ZREM', expiry, key)
    else
      redis.call('ZADD', expiry, now + ttl, key)
    end
    ttl = ''
  end
  if state ~= '' then
    set(notes .. key, state, ttl)
  end
  redis.call('PUBLISH', key, meta)
end

