-- Count a worker among those that read sources: {all of them, the numbers of the sources that nobody has a lease of}.
local team = KEYS[1]
local worker, ttl_ms = ARGV[1], tonumber(ARGV[2])

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', team, '-inf', now_ms)
redis.call('ZADD', team, now_ms + ttl_ms, worker)
local free = {}
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then free[#free + 1] = i - 2 end
end
return {redis.call('ZRANGE', team, 0, -1), free}
