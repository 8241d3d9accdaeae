-- Finds messages that contain one of some texts, in a part of a list or of the parked messages of a
-- queue. A find may be by chance; the caller looks closer. Nothing is changed.
-- KEYS  1 where to look
-- ARGV  1 LRANGE or ZRANGE, 2 first, 3 last, 4… the texts
-- Returns how many messages were looked at, then those found; after ZRANGE each followed by its score.

local options = ARGV[1] == 'ZRANGE' and { 'WITHSCORES' } or {}
local items = redis.call(ARGV[1], KEYS[1], ARGV[2], ARGV[3], unpack(options))
local stride = 1 + #options
local reply = { #items / stride }
for index = 1, #items, stride do
  for text = 4, #ARGV do
    if string.find(items[index], ARGV[text], 1, true) then
      for offset = 0, stride - 1 do
        reply[#reply + 1] = items[index + offset]
      end
      break
    end
  end
end
return reply
