-- Begin to count anew how long this consumer has held some windows. Those that it does not hold any more stay where they
-- are, and no delivery is counted. KEYS and the ids go together.
local group, consumer = ARGV[1], ARGV[2]

for number, stream in ipairs(KEYS) do
  local id = ARGV[number + 2]
  if #redis.call('XPENDING', stream, group, id, id, 1, consumer) == 1 then
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'JUSTID')
  end
end
return 0
