-- Read the scores after a cursor. They stay where they are until a commit lets go of them. False for a stale token.
local scores, lease = KEYS[1], KEYS[2]
local token, cursor, count = ARGV[1], ARGV[2], ARGV[3]

if lease_token(lease) ~= token then return false end
return redis.call('XRANGE', scores, '(' .. cursor, '+', 'COUNT', count)
