-- Which of the next scores after a cursor are of one source: {their ids, the cursor after all that were looked at}; the
-- cursor is empty where none follow.
local scores, source_id, cursor, count = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local ids, last = {}, ''
for _, entry in ipairs(redis.call('XRANGE', scores, '(' .. cursor, '+', 'COUNT', count)) do
  last = entry[1]
  if entry[2][2] == source_id then ids[#ids + 1] = last end
end
return {ids, last}
