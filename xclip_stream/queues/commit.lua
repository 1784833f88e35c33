-- Store the state of a source with what follows from it, and let go of the scores that it came from.
-- The answer is the number of commits so far, or -1 when somebody else may have committed, or this server lost a commit.
local lease, alert, state, events, scores = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local first_outbox = 6
local token, commits, commit_id = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local source_id, new_state, retained = ARGV[4], ARGV[5], ARGV[6]
local position = 7

local function argument()
  position = position + 1
  return ARGV[position - 1]
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
  redis.call('XADD', KEYS[first_outbox + tonumber(argument())], '*', 'message', argument())
end
redis.call('HSET', state, source_id, new_state)
redis.call('HSET', alert, 'commits', stored + 1, 'last', commit_id)
return stored + 1
