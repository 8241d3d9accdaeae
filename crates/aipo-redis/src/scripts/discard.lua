-- Deletes dead letters.
-- KEYS  1 dead letters (zset by id)
-- ARGV  1 prefix of all keys, 2… the ids
-- Returns how many of them were there.

local found = 0
for index = 2, #ARGV do
  if forget_letter(KEYS[1], ARGV[1], ARGV[index]) then
    found = found + 1
  end
end
return found
