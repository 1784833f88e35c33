-- Keep the rules of a configuration, unless they are the newest that are kept. On a full server too: an alert worker
-- keeps its rules before it commits, and only its commits make room.
local rulebooks, config_hash, rulebook, kept = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local newest = redis.call('XREVRANGE', rulebooks, '+', '-', 'COUNT', 1)[1]
if newest and newest[2][2] == config_hash then return 0 end
write_even_when_full(rulebooks)
redis.call('XADD', rulebooks, 'MAXLEN', kept, '*', 'hash', config_hash, 'rules', rulebook)
return 1
