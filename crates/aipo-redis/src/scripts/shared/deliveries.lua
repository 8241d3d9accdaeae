-- How often a message was started is written in front of it, once it went back to its queue:
--   {"aipo-deliveries":2,"body":…
-- so the count goes wherever the message goes, also through a Python worker that puts it back (with
-- a space after the colon), and is gone with it. Readers of JSON pass over a key they do not know.
local MARK = '{"aipo-deliveries":'

-- The count of a message, and the message without it.
local function deliveries(raw)
  if string.sub(raw, 1, #MARK) ~= MARK then
    return 0, raw
  end
  local count, rest = string.match(raw, '^ ?(%d+), ?()', #MARK + 1)
  if not count then
    return 0, raw
  end
  return tonumber(count), '{' .. string.sub(raw, rest)
end

-- A message, given without a count, with this one. What is no object with something in it can't
-- carry a count; such a message is refused before it would be started again.
local function with_deliveries(bare, count)
  if count == 0 or not string.find(bare, '^{%s*"') then
    return bare
  end
  return MARK .. count .. ',' .. string.sub(bare, 2)
end

