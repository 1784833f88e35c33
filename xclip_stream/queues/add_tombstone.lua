-- Take a seq without a window: its scores are there at once. On a full server too, unless so many scores wait there that
-- nobody seems to take them: then it is refused, but for the end of an epoch.
local source, scores = KEYS[1], KEYS[2]
local source_id, epoch, seq, pts_s, captured_at = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local token, max_scores, ended, tombstone = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9]

local refused, next_seq = refusal(source, token, epoch, seq)
if refused then return {refused, next_seq} end

if ended == '1' or redis.call('XLEN', scores) < max_scores then write_even_when_full(scores) end
add_scores(scores, source_id, redis.call('HGET', source, 'generation'), tombstone)
take_seq(source, next_seq, pts_s, captured_at)
redis.call('HSET', source, 'ended', ended)
return {'added', next_seq + 1}
