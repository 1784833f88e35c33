-- Take a worker out of those that read sources, and free what it holds.
local team, worker = KEYS[1], ARGV[1]

redis.call('ZREM', team, worker)
for i = 2, #KEYS do
  if lease_holder(KEYS[i]) == worker then redis.call('DEL', KEYS[i]) end
end
return 0
