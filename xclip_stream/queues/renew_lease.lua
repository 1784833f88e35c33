-- Prolong a lease that is still held. 0 when it is not, and when the server came back older than the last commit.
local lease, alert = KEYS[1], KEYS[2]
local token, ttl_ms, commits = ARGV[1], ARGV[2], tonumber(ARGV[3])

if lease_token(lease) ~= token then return 0 end
if alert and tonumber(redis.call('HGET', alert, 'commits') or '0') < commits then return 0 end
redis.call('PEXPIRE', lease, ttl_ms)
return 1
