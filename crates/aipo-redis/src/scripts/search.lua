-- Finds messages that may be of one of some tasks, in a part of a list or of the parked messages of a queue, from the
-- newest or the last one due on. A find may be by chance; the caller looks closer. Nothing is changed.
-- KEYS  1 where to look
-- ARGV  1 LRANGE or ZREVRANGE, 2 first, 3 last, 4… the texts
-- Returns how many messages were looked at, 1 when there may be more behind them, then those found; after ZREVRANGE
--         each followed by its score.

-- Bytes after which no more are told.
local MAX_BYTES = 4 * 1024 * 1024

local texts = texts_from(4)
local options = ARGV[1] == 'ZREVRANGE' and { 'WITHSCORES' } or {}
local items = redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3], unpack(options))
local stride = 1 + #options
local looked_at, bytes = 0, 0
local reply = { 0, 0 }
for index = 1, #items, stride do
  if bytes >= MAX_BYTES then
    break
  end
  looked_at = looked_at + 1
  if names_one(items[index], texts) then
    for offset = 0, stride - 1 do
      reply[#reply + 1] = items[index + offset]
    end
    bytes = bytes + #items[index]
  end
end
reply[1] = looked_at
local is_whole_page = #items / stride == ARGV[3] - ARGV[2] + 1
if is_whole_page or looked_at < #items / stride then
  reply[2] = 1
end
return reply
