-- Keep what has become of the evidence of an event, and let go of the requests that are settled with it. On a full server
-- too: it makes room.
local made, wanted = KEYS[1], KEYS[2]
local record, ttl_ms, settled = ARGV[1], ARGV[2], {unpack(ARGV, 3)}

write_even_when_full(wanted)
for _, id in ipairs(settled) do redis.call('XDEL', wanted, id) end
redis.call('SET', made, record, 'PX', ttl_ms)
return 0
