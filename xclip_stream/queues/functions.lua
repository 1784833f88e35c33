-- What the other scripts share; it is put in front of each of them.

-- A full server refuses the first write of a script unless that write frees memory, and lets the rest through. Letting
-- go of work has to succeed on a full server, so the scripts that do so begin with a write of this kind.
local function write_even_when_full(stream)
  redis.call('XDEL', stream, '0-1')
end

-- A number greater than all before it. It is made from the time, so that a server that came back empty or older does
-- not give one out again.
local function new_number(counters)
  local time = redis.call('TIME')
  local last = tonumber(redis.call('HGET', counters, 'number') or '0')
  local number = string.format('%.0f', math.max(time[1] * 1000000 + time[2], last + 1))
  redis.call('HSET', counters, 'number', number)
  return number
end

-- Make every new number greater than this one, which a server gave out that has forgotten it.
local function outnumber(counters, number)
  if tonumber(number) > tonumber(redis.call('HGET', counters, 'number') or '0') then
    redis.call('HSET', counters, 'number', number)
  end
end

-- What stands against taking this seq, or nil; and the seq that is wanted.
local function refusal(source, token, epoch, seq)
  local record = redis.call('HMGET', source, 'epoch', 'next', 'ended', 'token')
  if not record[1] then return 'rewind', 0 end -- this server came back empty, or forgot the source
  local newest = tonumber(record[4] or '0')
  if token < newest then return 'stale', 0 end
  -- This reader has begun its epoch, and nobody after it: this server came back older than that.
  if token > newest or record[1] ~= epoch then return 'rewind', 0 end
  local next_seq = tonumber(record[2])
  if seq < next_seq then return 'already_done', next_seq end
  if record[3] == '1' then return 'stale', next_seq end
  if seq > next_seq then return 'rewind', next_seq end
  return nil, next_seq
end

local function take_seq(source, next_seq, pts_s, captured_at)
  redis.call('HSET', source, 'next', next_seq + 1, 'pts_s', pts_s, 'captured_at', captured_at)
end

local function add_scores(stream, source_id, generation, scores)
  redis.call('XADD', stream, '*', 'source', source_id, 'generation', generation, 'scores', scores)
end

-- Count a window in or out. False when its source was forgotten since it was added, or has begun another epoch.
local function count_window(counters, source, epoch, run, windows, bytes)
  redis.call('HINCRBY', counters, 'bytes', bytes)
  local record = redis.call('HMGET', source, 'epoch', 'run')
  if record[1] == epoch and record[2] == run then redis.call('HINCRBY', source, 'waiting', windows) end
  return record[2] == run
end

local function remove_letter(dead, counters, id, bytes)
  redis.call('XDEL', dead, id)
  redis.call('HINCRBY', counters, 'dead_bytes', 0 - bytes) -- "-0" is no number to Redis
end

-- Keep a dead letter: `letter` is its own fields, `content` what replay puts back. The payload is left out where the
-- payloads kept already fill their share.
local function keep_letter(dead, counters, room, length, letter, content, bytes)
  if tonumber(redis.call('HGET', counters, 'dead_bytes') or '0') + bytes > room then
    content, bytes = {}, 0
  end
  redis.call('HINCRBY', counters, 'dead_bytes', bytes)
  local entry = {'bytes', bytes}
  for _, value in ipairs(letter) do entry[#entry + 1] = value end
  for _, value in ipairs(content) do entry[#entry + 1] = value end
  redis.call('XADD', dead, '*', unpack(entry))
  while redis.call('XLEN', dead) > length do
    local oldest = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
    remove_letter(dead, counters, oldest[1], tonumber(oldest[2][2]))
  end
end

-- A lease holds "token:holder".
local function lease_token(lease)
  return string.match(redis.call('GET', lease) or '', '^(%d+):')
end

local function lease_holder(lease)
  return string.match(redis.call('GET', lease) or '', '^%d+:(.*)$')
end
