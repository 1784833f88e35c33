-- Make an epoch the current one of a source, for the holder of a token; close another one first.
-- `seen` and `tombstone` come with the second call: the open epoch that the first call told of, and what closes it.
local source, scores, counters = KEYS[1], KEYS[2], KEYS[3]
local source_id, epoch, live, token, seen, tombstone = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local record = redis.call('HMGET', source, 'epoch', 'next', 'ended', 'live', 'pts_s', 'captured_at', 'generation', 'run')
local current, next_seq, ended = record[1], record[2], record[3]
local newest = tonumber(redis.call('HGET', source, 'token') or '0')
if tonumber(token) < newest then return {'stale'} end

if current and current ~= epoch and ended ~= '1' then
  if seen ~= next_seq .. ':' .. current then
    return {'open', current, next_seq, record[4], record[5], record[6]}
  end
  write_even_when_full(scores)
  add_scores(scores, source_id, record[7], tombstone)
end
if tonumber(token) > newest then
  write_even_when_full(scores)
  redis.call('HSET', source, 'token', token)
  outnumber(counters, token)
end
if current == epoch then return {'begun', tonumber(next_seq)} end
write_even_when_full(scores)
redis.call('HSET', source, 'epoch', epoch, 'next', 0, 'ended', 0, 'waiting', 0, 'live', live, 'pts_s', '0',
  'captured_at', '0', 'generation', (record[7] or 0) + 1, 'run', record[8] or new_number(counters))
return {'begun', 0}
