-- Move a window to the dead letters and publish the tombstone that came with it, under the gate of publish_scores.
-- `asked_for` is 0 where the queue itself gives the window up: then its holder has not let go of it.
local windows, counters, source, scores, published, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local group, id, epoch, run, bytes = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local source_id, generation, tombstone = ARGV[6], ARGV[7], ARGV[8]
local asked_for, room, length, letter = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11]), {unpack(ARGV, 12)}

if redis.call('XACK', windows, group, id) == 0 then
  return redis.call('GET', published) == windows .. '/' .. id and 1 or 0
end
local entry = redis.call('XRANGE', windows, id, id)[1]
redis.call('XDEL', windows, id)
if count_window(counters, source, epoch, run, -1, 0 - bytes) and tombstone ~= '' then
  add_scores(scores, source_id, generation, tombstone)
end
if entry then keep_letter(dead, counters, room, length, letter, entry[2], tonumber(bytes)) end
if asked_for == '1' then redis.call('SET', published, windows .. '/' .. id, 'EX', 3600) end
return 1
