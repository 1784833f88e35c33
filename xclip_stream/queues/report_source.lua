-- Keep what a reader says of its source, and answer what others want of it: {1 where somebody looks at its pictures, the
-- requests for evidence after a cursor, the epoch that was judged to its end, the window that stands for no other}.
-- On a full server too: there it is asked for most.
local statuses, scores, looked_at, wanted, judged, rescore = unpack(KEYS, 1, 6)
local source_id, status, cursor, count = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

write_even_when_full(scores)
redis.call('HSET', statuses, source_id, status)
local requests = redis.call('XRANGE', wanted, '(' .. cursor, '+', 'COUNT', count)
return {redis.call('EXISTS', looked_at), requests, redis.call('GET', judged) or '', redis.call('GET', rescore) or ''}
