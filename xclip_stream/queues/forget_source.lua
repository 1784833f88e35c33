-- Forget the epoch, the scores, the rule state, the history and the wanted evidence of a source. Its windows that are
-- still queued are known by their `run`, and their scores go nowhere.
local source, scores, state, ingest, rules, lease, history, wanted, judged, rescore = unpack(KEYS, 1, 10)
local source_id = ARGV[1]

-- An alert worker that is alive must not go on with the state that it remembers.
redis.call('DEL', source, lease, history, wanted, judged, rescore)
for _, entry in ipairs(redis.call('XRANGE', scores, '-', '+')) do
  if entry[2][2] == source_id then redis.call('XDEL', scores, entry[1]) end
end
for _, table_key in ipairs({state, ingest, rules}) do
  redis.call('HDEL', table_key, source_id)
end
return 0
