-- The time that the ids of entries are made of, from the server that holds this key: seconds and microseconds.
return redis.call('TIME')
