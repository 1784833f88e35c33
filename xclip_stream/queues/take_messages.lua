-- Read the messages after a cursor and count that they were handed out. False while another holds the lease.
local outbox, lease, deliveries = KEYS[1], KEYS[2], KEYS[3]
local holder, cursor, count = ARGV[1], ARGV[2], ARGV[3]

local held_by = lease_holder(lease)
if held_by and held_by ~= holder then return false end
local entries = redis.call('XRANGE', outbox, '(' .. cursor, '+', 'COUNT', count)
if #entries > 0 then write_even_when_full(outbox) end
for _, entry in ipairs(entries) do
  entry[3] = redis.call('HINCRBY', deliveries, entry[1], 1)
end
return entries
