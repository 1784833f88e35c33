-- Give a consumer the next event that was given to somebody and not acknowledged: of its own after an id, or of anybody
-- that has been idle for so long. What was trimmed meanwhile is let go of. The answer: id, fields, deliveries; or nothing.
local stream, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local idle_ms, after_id = ARGV[3], ARGV[4]

local pending
repeat
  if after_id ~= '' then
    pending = redis.call('XPENDING', stream, group, '(' .. after_id, '+', 64, consumer)
  else
    pending = redis.call('XPENDING', stream, group, 'IDLE', idle_ms, '-', '+', 64)
  end
  for _, entry in ipairs(pending) do
    local id, deliveries = entry[1], entry[4]
    local found = redis.call('XRANGE', stream, id, id)
    if found[1] then
      redis.call('XCLAIM', stream, group, consumer, 0, id)
      return {id, found[1][2], deliveries + 1}
    end
    redis.call('XACK', stream, group, id)
  end
until #pending < 64
return {}
