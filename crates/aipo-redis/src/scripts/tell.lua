-- Tells notices, in order: each to everybody on a channel, or to the mailboxes that a table of bindings has
-- under its key.
-- KEYS  none
-- ARGV  1 prefix of all keys, 2 separator, 3 how long letters are kept in ms,
--       then by notice: 'E', channel, '', message, or 'M', table, key, message
-- Returns nothing.

local prefix, sep, ttl = ARGV[1], ARGV[2], ARGV[3]

-- The lists of the queues that a table has under a key, of all members "key sep pattern sep queue".
local function lists(members, key)
  local start = key .. sep
  local found = {}
  for _, member in ipairs(members) do
    if string.sub(member, 1, #start) == start then
      local _, pattern_end = string.find(member, sep, #start + 1, true)
      if pattern_end then
        found[#found + 1] = prefix .. string.sub(member, pattern_end + 1)
      end
    end
  end
  return found
end

local tables = {}
for index = 4, #ARGV, 4 do
  local kind, place, key, message = unpack(ARGV, index, index + 3)
  if kind == 'E' then
    redis.call('PUBLISH', place, message)
  else
    tables[place] = tables[place] or redis.call('SMEMBERS', place)
    for _, list in ipairs(lists(tables[place], key)) do
      redis.call('LPUSH', list, message)
      redis.call('PEXPIRE', list, ttl)
    end
  end
end
