-- Forget the epoch, the scores, the rule state, the history and the wanted evidence of a source. Its windows that are
-- still queued are known by their `run`, and their scores go nowhere.
-- `ids` are those of its scores up to `cursor`: to find them among those of others takes too long for one step.
local source, scores, state, ingest, rules, lease, history, wanted, judged, rescore = unpack(KEYS, 1, 10)
local source_id, cursor, first_id = ARGV[1], ARGV[2], 3
local at_once = 1000

-- An alert worker that is alive must not go on with the state that it remembers.
redis.call('DEL', source, lease, history, wanted, judged, rescore)
for i = first_id, #ARGV, at_once do
  redis.call('XDEL', scores, unpack(ARGV, i, math.min(i + at_once - 1, #ARGV)))
end
for _, entry in ipairs(redis.call('XRANGE', scores, '(' .. cursor, '+')) do
  if entry[2][2] == source_id then redis.call('XDEL', scores, entry[1]) end
end
for _, table_key in ipairs({state, ingest, rules}) do
  redis.call('HDEL', table_key, source_id)
end
return 0
