-- Remove consumers that are gone for long and hold nothing: every start of a worker makes a new one.
local group, idle_ms = ARGV[1], tonumber(ARGV[2])

for _, stream in ipairs(KEYS) do
  -- A stream or group that is not there yet has none.
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, group)
  for _, flat in ipairs(consumers.err and {} or consumers) do
    local consumer = {}
    for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
    if consumer.pending == 0 and consumer.idle >= idle_ms then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
    end
  end
end
return 0
