"""The queue between the workers: Redis Streams, and its twin in memory.

`xclip_stream.queues.memory` has `MemoryQueue`, `xclip_stream.queues.redis` has `open_queue`. This package itself
imports neither, so that the twin works without the Redis client.
"""
