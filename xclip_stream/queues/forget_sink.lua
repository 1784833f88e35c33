-- Forget what waits for a sink: the number of its messages, or -1 while a worker delivers them.
local outbox, deliveries, lease = KEYS[1], KEYS[2], KEYS[3]

if redis.call('EXISTS', lease) == 1 then return -1 end
redis.call('DEL', deliveries)
-- The stream itself stays, so that no id is given out twice.
return redis.call('XTRIM', outbox, 'MAXLEN', 0)
