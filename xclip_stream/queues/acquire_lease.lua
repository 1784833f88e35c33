-- Take a role that nobody else holds: {token, number of commits so far}, or {0, 0}. Only the alert role has commits.
local lease, counters, known, alert = unpack(KEYS, 1, 4)
local holder, ttl_ms = ARGV[1], ARGV[2]

local held_by = lease_holder(lease)
if held_by and held_by ~= holder then return {0, 0} end
redis.call('DEL', lease)
local token = new_number(counters)
redis.call('HSET', known, lease, '')
redis.call('SET', lease, token .. ':' .. holder, 'PX', ttl_ms)
return {tonumber(token), alert and tonumber(redis.call('HGET', alert, 'commits') or '0') or 0}
