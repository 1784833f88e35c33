-- Let go of a window and publish its scores, if this acknowledgement is the one that counts.
local windows, counters, source, scores, published = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local group, id, epoch, run, bytes = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local source_id, generation, blob = ARGV[6], ARGV[7], ARGV[8]

if redis.call('XACK', windows, group, id) == 0 then
  -- The same step again, because its reply was lost?
  return redis.call('GET', published) == windows .. '/' .. id and 1 or 0
end
redis.call('XDEL', windows, id)
if count_window(counters, source, epoch, run, -1, 0 - bytes) then
  add_scores(scores, source_id, generation, blob)
end
redis.call('SET', published, windows .. '/' .. id, 'EX', 3600)
return 1
