-- Ends a mailbox, as kombu deletes a queue: its binding and what lies in it. A table of bindings that is
-- empty needs no deadline either.
local function end_mailbox(prefix, sep, exchange, key)
  local queue = key .. '.' .. exchange
  local bindings = prefix .. '_kombu.binding.' .. exchange
  redis.call('SREM', bindings, key .. sep .. sep .. queue)
  if redis.call('EXISTS', bindings) == 0 then
    redis.call('ZREM', prefix .. '_kombu.binding_deadlines', exchange)
  end
  redis.call('DEL', prefix .. queue)
  redis.call('ZREM', prefix .. 'aipo:mailboxes', exchange .. sep .. key)
end

