-- Take over one window that its holder has had for too long: {number of the stream, id, deliveries, fields}, or nothing.
-- With `holder` only what this consumer holds itself and does not know of, because a reply was lost.
local group, consumer, idle_ms, holder = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = {}
for i = 5, #ARGV do known[ARGV[i]] = true end

for number, stream in ipairs(KEYS) do
  local range = {stream, group, 'IDLE', idle_ms, '-', '+', 100}
  if holder ~= '' then range[#range + 1] = holder end
  for _, pending in ipairs(redis.call('XPENDING', unpack(range))) do
    local id = pending[1]
    if not known[stream .. '/' .. id] then
      local entry = redis.call('XCLAIM', stream, group, consumer, idle_ms, id)[1]
      if entry and entry[2] then return {number, id, pending[4] + 1, entry[2]} end
      -- The entry itself is gone. Redis 6.2 leaves it pending for ever.
      redis.call('XACK', stream, group, id)
    end
  end
end
return {}
