"""Events to a stream of the user's own on any Redis, beside the public stream that the pipeline itself keeps."""

from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

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
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: for connecting, and for each reply.
    """

    def __init__(self, *, url: str, stream: str, maxlen: int = 100_000, timeout_s: float = 5.0) -> None:
        self._url = url
        self._stream = stream
        self._maxlen = maxlen
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        try:
            # The loop that delivers has its own patience: the client must not add a second one.
            self._client = redis.Redis.from_url(
                self._url,
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            # The text of the error may quote a piece of the password.
            raise ConfigError(
                f"redis sink for the stream {self._stream}: its url is none that starts with redis://, rediss:// or "
                "unix:// (percent-encode special characters of the password)"
            ) from None
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
            raise DeliveryError(f"redis stream {self._stream}: {error}") from None
