-- Admit a window whose turn it is, if there is room.
local source, windows, counters, scores = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local source_id, epoch, seq, pts_s, captured_at = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local token = tonumber(ARGV[6])
local max_bytes, max_waiting, max_scores = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local header, tombstone, frames = ARGV[10], ARGV[11], ARGV[12]

local refused, next_seq = refusal(source, token, epoch, seq)
if refused then return {refused, next_seq} end

local bytes = tonumber(redis.call('HGET', counters, 'bytes') or '0')
local record = redis.call('HMGET', source, 'waiting', 'generation', 'run')
if (bytes > 0 and bytes + #frames > max_bytes)
  or tonumber(record[1]) >= max_waiting
  or redis.call('XLEN', scores) >= max_scores then
  return {'full', next_seq}
end

redis.call('XADD', windows, '*', 'source', source_id, 'epoch', epoch, 'generation', record[2], 'run', record[3],
  'window', header, 'tombstone', tombstone, 'frames', frames)
take_seq(source, next_seq, pts_s, captured_at)
count_window(counters, source, epoch, record[3], 1, #frames)
return {'added', next_seq + 1}
