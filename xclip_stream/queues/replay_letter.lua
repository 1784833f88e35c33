-- Put a dead letter back where it died: 1; 0 when there is no such letter; -1 when it was kept without its payload.
-- For a window the last key is its source.
local dead, counters, home, source = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, first_of_content = ARGV[1], tonumber(ARGV[2])

local letter = redis.call('XRANGE', dead, id, id)[1]
if not letter then return 0 end
local content, fields = {unpack(letter[2], first_of_content)}, {}
if #content == 0 then return -1 end
for i = 1, #content, 2 do fields[content[i]] = content[i + 1] end
redis.call('XADD', home, '*', unpack(content))
if source then count_window(counters, source, fields.epoch, fields.run, 1, #fields.frames) end
remove_letter(dead, counters, id, tonumber(letter[2][2]))
return 1
