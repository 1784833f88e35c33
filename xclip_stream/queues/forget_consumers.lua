-- Remove consumers that are gone for long and hold nothing: every start of a worker makes a new one.
local group, idle_ms = ARGV[1], tonumber(ARGV[2])

for _, stream in ipairs(KEYS) do
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local consumer = {}
    for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
    if consumer.pending == 0 and consumer.idle >= idle_ms then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
    end
  end
end
return 0
