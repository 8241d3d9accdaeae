-- The state that a stored result tells of itself: in JSON, or as Celery writes msgpack (the status comes
-- first; the server's own reader does not know bytes) and YAML. Nothing for other bytes, such as compressed
-- ones, whose state was noted beside them.
local function told_state(meta)
  local first = string.byte(meta) or 0
  if first == 0x7b then
    local is_json, object = pcall(cjson.decode, meta)
    return is_json and type(object) == 'table' and object.status
  elseif first >= 0x80 then
    local key = string.match(meta, '^[\128-\143]()') or string.match(meta, '^\222..()')
    if key and string.sub(meta, key, key + 6) == '\166status' then
      local length = (string.byte(meta, key + 7) or 0xa0) - 0xa0
      return string.sub(meta, key + 8, key + 7 + length)
    end
    return nil
  end
  return string.match('\n' .. meta, '\nstatus: ([%w_-]+)\n')
end

-- Whether a stored result is a success. Celery's metas in JSON, and aipo's, begin with their status.
local function is_success(key, meta, notes)
  if string.find(meta, '^{"status": ?"') then
    return string.find(meta, '^{"status": ?"SUCCESS"') ~= nil
  end
  local state = told_state(meta)
  if type(state) ~= 'string' then
    state = redis.call('GET', notes .. key)
  end
  return state == 'SUCCESS'
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

