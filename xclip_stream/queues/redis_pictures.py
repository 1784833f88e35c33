"""The latest picture of each source, on Redis."""

from collections.abc import Sequence

from xclip_stream.codec import decode_picture
from xclip_stream.errors import DecodeError
from xclip_stream.queues.redis_consumer import RedisConsumer, milliseconds
from xclip_stream.types import Picture


class RedisPictures(RedisConsumer):
    """The role of those that look."""

    def watch_pictures(self, source_ids: Sequence[str], *, ttl_s: float) -> None:
        if source_ids:
            self._run("watch_pictures", [self._keys.looked_at(each) for each in source_ids], [milliseconds(ttl_s)])

    def latest_picture(self, source_id: str) -> Picture | None:
        picture = self._call("GET", self._keys.picture(source_id))
        try:
            return None if picture is None else decode_picture(picture)
        except DecodeError:
            # Of another version of the package, and for display only: the next one replaces it.
            return None
