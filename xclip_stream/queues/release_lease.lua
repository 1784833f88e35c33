-- Give up a lease, if it is still held.
if lease_token(KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
