-- Move a message to the dead letters, once.
local outbox, deliveries, dead, counters = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, room, length, letter = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), {unpack(ARGV, 4)}

local entry = redis.call('XRANGE', outbox, id, id)[1]
redis.call('XDEL', outbox, id)
redis.call('HDEL', deliveries, id)
if entry then keep_letter(dead, counters, room, length, letter, entry[2], #entry[2][2]) end
return 0
