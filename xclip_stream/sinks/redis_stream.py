"""Events to a stream of the user's own on any Redis, beside the public stream that the pipeline itself keeps."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import redis

from xclip_stream.errors import ConfigError, DeliveryError
from xclip_stream.types import Message

# A message whose reply was lost comes again. Looking at the newest entries inside the same step keeps it single.
ADD_ONCE = """
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 64)) do
    if entry[2][1] == 'message_id' and entry[2][2] == ARGV[1] then return entry[1] end
end
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'message_id', ARGV[1], 'event', ARGV[2])
"""


class RedisStreamSink:
    """Adds each event to `stream` as the fields `message_id` and `event` (CloudEvents JSON).

    The stream keeps about the newest `maxlen` entries. A message that is among its 64 newest is not added again.

    Args:
        open_client: gives a client that connects when it is used, and that tries nothing twice: the loop that delivers
            has its own patience. It raises ConfigError where that cannot be.
    """

    def __init__(self, *, open_client: Callable[[], redis.Redis], stream: str, maxlen: int = 100_000) -> None:
        self._open_client = open_client
        self._stream = stream
        self._maxlen = maxlen

    def __enter__(self) -> Self:
        try:
            self._client = self._open_client()
        except ConfigError as error:
            raise ConfigError(f"redis sink for the stream {self._stream}: {error}") from None
        self._add_once = self._client.register_script(ADD_ONCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def deliver(self, message: Message) -> None:
        try:
            self._add_once(keys=[self._stream], args=[message.message_id, message.body, self._maxlen])
        except (redis.RedisError, OSError) as error:
            # The next attempt shall ask anew who the master is.
            self._client.connection_pool.disconnect(inuse_connections=False)
            raise DeliveryError(f"redis stream {self._stream}: {error}") from None
