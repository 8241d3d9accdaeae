-- Reads a page of a log, the oldest first.
-- KEYS  1 the log (zset by number)
-- ARGV  1 now or '', 2 after which number, 3 entries at most
-- Returns the last number looked at, or nothing after the last page, then by entry that has not expired:
--         number, value.

local now = present(ARGV[1])
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[2], '+inf', 'LIMIT', 0, ARGV[3])
local reply = { false }
for index, member in ipairs(members) do
  local expires, number, value = string.match(member, '^(%d+):(%d+):(.*)$')
  if tonumber(expires) > now then
    reply[#reply + 1] = number
    reply[#reply + 1] = value
  end
  if index == tonumber(ARGV[3]) then
    reply[1] = number
  end
end
return reply
