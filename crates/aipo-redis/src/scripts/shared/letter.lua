-- Deletes a dead letter, if it is there. Returns whether it was.
local function forget_letter(letters, prefix, id)
  local letter = prefix .. 'aipo:letter:' .. id
  local queue = redis.call('HGET', letter, 'queue')
  if queue then
    redis.call('DEL', letter)
    redis.call('ZREM', letters, id)
    redis.call('ZREM', prefix .. 'aipo:dead:' .. queue, id)
  end
  return queue ~= false
end
