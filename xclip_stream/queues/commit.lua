-- Store the state of a source with what follows from it, and let go of the scores that it came from.
-- After the nine fixed keys come the outboxes, as many as are named, and then the layouts of the history.
-- The answer is the number of commits so far, or -1 when somebody else may have committed, or this server lost a commit.
local lease, alert, state, events, scores, history, wanted, judged_to_end, known = unpack(KEYS, 1, 9)
local first_outbox = 10
local token, commits, commit_id = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local source_id, new_state, retained = ARGV[4], ARGV[5], ARGV[6]
local position = 7

local function argument()
  position = position + 1
  return ARGV[position - 1]
end

local function memory_is_short()
  local info = redis.call('INFO', 'memory')
  local most = tonumber(info:match('maxmemory:(%d+)'))
  return most > 0 and tonumber(info:match('used_memory:(%d+)')) > 0.8 * most
end

if lease_token(lease) ~= token then return -1 end
local record = redis.call('HMGET', alert, 'commits', 'last')
local stored = tonumber(record[1] or '0')
if record[2] == commit_id then return stored end
if stored ~= commits then return -1 end

write_even_when_full(scores)
for _ = 1, tonumber(argument()) do
  redis.call('XDEL', scores, argument())
end
for _ = 1, tonumber(argument()) do
  redis.call('XADD', events, 'MAXLEN', '~', retained, '*', 'id', argument(), 'event', argument())
end
for _ = 1, tonumber(argument()) do
  local outbox = KEYS[first_outbox + tonumber(argument())]
  redis.call('HSET', known, outbox, '')
  redis.call('XADD', outbox, '*', 'message', argument())
end
local kept_ms, kept_entries, judged = tonumber(argument()), argument(), tonumber(argument())
-- Of all that is here the history is missed least. It makes room before something else finds none.
local is_short = judged > 0 and memory_is_short()
for _ = 1, judged do
  local entry = argument()
  if not is_short then redis.call('XADD', history, 'MAXLEN', '~', kept_entries, '*', 's', entry) end
end
if is_short then redis.call('XTRIM', history, 'MAXLEN', math.floor(0.9 * redis.call('XLEN', history))) end
if judged > 0 then
  local time = redis.call('TIME')
  -- A machine without a battery may begin in 1970. A script that fails here has done half of its work.
  redis.call('XTRIM', history, 'MINID', '~', string.format('%.0f', math.max(0, time[1] * 1000 - kept_ms)))
  -- What is not added to for so long is all too old, and so is what nothing points to.
  redis.call('PEXPIRE', history, kept_ms)
end
local layouts = tonumber(argument())
for i = 1, layouts do
  redis.call('SET', KEYS[#KEYS - layouts + i], argument(), 'PX', kept_ms * 2)
end
local requests_kept = argument()
for _ = 1, tonumber(argument()) do
  redis.call('XADD', wanted, 'MAXLEN', '~', requests_kept, '*', 'request', argument())
end
local judged_epoch = argument()
if judged_epoch ~= '' then redis.call('SET', judged_to_end, judged_epoch) end
redis.call('HSET', state, source_id, new_state)
redis.call('HSET', alert, 'commits', stored + 1, 'last', commit_id)
return stored + 1
