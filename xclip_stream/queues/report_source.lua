-- Keep what a reader says of its source, and answer what others want of it: {1 where somebody looks at its pictures}.
-- On a full server too: there it is asked for most.
local statuses, scores, looked_at = KEYS[1], KEYS[2], KEYS[3]
local source_id, status = ARGV[1], ARGV[2]

write_even_when_full(scores)
redis.call('HSET', statuses, source_id, status)
return {redis.call('EXISTS', looked_at)}
