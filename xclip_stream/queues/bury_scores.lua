-- Move scores that this version cannot read to the dead letters: replay gives them to one that can.
local scores, lease, dead, counters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, id, room, length, letter = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), {unpack(ARGV, 5)}

if lease_token(lease) ~= token then return 0 end
local entry = redis.call('XRANGE', scores, id, id)[1]
if not entry then return 0 end
local bytes = 0
for _, value in ipairs(entry[2]) do bytes = bytes + #value end
redis.call('XDEL', scores, id)
keep_letter(dead, counters, room, length, letter, entry[2], bytes)
return 0
