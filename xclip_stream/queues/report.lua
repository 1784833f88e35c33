-- Keep what a worker says of a source. On a full server too: there it is asked for most.
local statuses, scores = KEYS[1], KEYS[2]
local source_id, status = ARGV[1], ARGV[2]

write_even_when_full(scores)
redis.call('HSET', statuses, source_id, status)
return 0
