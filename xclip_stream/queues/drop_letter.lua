-- Forget a dead letter.
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return 0 end
remove_letter(KEYS[1], KEYS[2], ARGV[1], tonumber(letter[2][2]))
return 1
