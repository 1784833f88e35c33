-- One look at everything that waits and at who holds what. It writes nothing. The keys after the first seven are
-- outboxes, as many as the second argument says, and then leases.
local live, files, scores, dead, events, counters, team = unpack(KEYS, 1, 7)
local group, outboxes = ARGV[1], tonumber(ARGV[2])
local max_pending = 100000

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function depth(stream)
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  return {redis.call('XLEN', stream), oldest and oldest[1] or ''}
end

-- What the consumers of the windows hold: {windows, longest idle time, most deliveries, time since last seen} by name.
local workers, held = {}, {}

local function look_at_consumers(stream)
  -- A stream or group that is not there yet has none.
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, group)
  for _, flat in ipairs(consumers.err and {} or consumers) do
    local consumer = {}
    for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
    local worker = workers[consumer.name] or {0, 0, 0, consumer.idle}
    worker[4] = math.min(worker[4], consumer.idle)
    workers[consumer.name] = worker
  end
  local pending = redis.pcall('XPENDING', stream, group, '-', '+', max_pending)
  if pending.err then pending = {} end
  held[stream] = #pending
  for _, entry in ipairs(pending) do
    local worker = workers[entry[2]]
    worker[1] = worker[1] + 1
    worker[2] = math.max(worker[2], entry[3])
    worker[3] = math.max(worker[3], entry[4])
  end
end

look_at_consumers(live)
look_at_consumers(files)
local by_worker = {}
for name, worker in pairs(workers) do by_worker[#by_worker + 1] = {name, unpack(worker)} end

local by_outbox, leases = {}, {}
for i = 8, 7 + outboxes do by_outbox[#by_outbox + 1] = depth(KEYS[i]) end
for i = 8 + outboxes, #KEYS do
  local holder = lease_holder(KEYS[i])
  leases[#leases + 1] = {holder or '', redis.call('PTTL', KEYS[i])}
end

return {
  now_ms,
  {depth(live), held[live]},
  {depth(files), held[files]},
  redis.call('HGET', counters, 'bytes') or '0',
  depth(scores),
  depth(dead),
  redis.call('XLEN', events),
  by_worker,
  by_outbox,
  leases,
  redis.call('ZRANGEBYSCORE', team, now_ms, '+inf', 'WITHSCORES'),
}
