-- A fact is kept as "expiry:fence:value", the first two possibly empty, in a hash; its name stands in
-- one zset for looking up by prefix, and, if it expires, in another by its time.
-- KEYS of every script on facts, and the keys that these functions take: 1 facts (hash), 2 names (zset),
-- 3 expiries (zset).

-- A fact that is alive: value and fence; nothing otherwise.
local function read(record, now)
  if not record then
    return nil
  end
  local expires, fence, value = string.match(record, '^(%-?%d*):(%d*):(.*)$')
  if expires ~= '' and tonumber(expires) <= now then
    return nil
  end
  return value, fence
end

-- Sets a fact. ttl: milliseconds, '' for ever.
local function write(keys, name, value, fence, ttl, now)
  local expires = ''
  if ttl == '' then
    redis.call('ZREM', keys[3], name)
  else
    expires = string.format('%.0f', now + ttl)
    redis.call('ZADD', keys[3], expires, name)
  end
  redis.call('HSET', keys[1], name, expires .. ':' .. fence .. ':' .. value)
  redis.call('ZADD', keys[2], 0, name)
end

local function erase(keys, name)
  redis.call('HDEL', keys[1], name)
  redis.call('ZREM', keys[2], name)
  redis.call('ZREM', keys[3], name)
end

