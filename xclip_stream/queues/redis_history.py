"""The history on Redis: a stream of compact entries for each source, and what their logits mean in keys beside it."""

from contextlib import suppress

from xclip_stream.errors import DecodeError
from xclip_stream.history_codec import Layout, decode_judged, decode_layout, digest_of
from xclip_stream.queues.redis_consumer import RedisConsumer
from xclip_stream.types import Scores


class RedisHistory(RedisConsumer):
    """What the rules have judged. An entry of another version of the package is passed over: it is for display."""

    def read_history(
        self, source_id: str, *, since: float, after_id: str = "0", max_count: int
    ) -> list[tuple[str, Scores]]:
        first = max((f"{max(0, round(since * 1000))}-0", f"({after_id}"), key=_place)
        found = self._call("XRANGE", self._keys.history(source_id), first, "+", "COUNT", max_count)
        bodies = [(entry_id.decode(), fields.get(b"s", b"")) for entry_id, fields in found]
        layouts = self._layouts({digest for _, body in bodies if (digest := digest_of(body))})
        entries = []
        for entry_id, body in bodies:
            layout = layouts.get(digest_of(body) or "")
            try:
                entries.append((entry_id, decode_judged(body, source_id=source_id, layout=layout)))
            except DecodeError:
                continue
        return entries

    def read_rulebook(self, config_hash: str) -> bytes | None:
        found = self._call("XREVRANGE", self._keys.rulebooks, "+", "-")
        wanted = config_hash.encode()
        return next((fields[b"rules"] for _, fields in found if fields.get(b"hash") == wanted), None)

    def _layouts(self, digests: set[str]) -> dict[str, Layout]:
        layouts: dict[str, Layout] = {}
        for digest in sorted(digests):
            with suppress(DecodeError):
                layouts[digest] = decode_layout(self._call("GET", self._keys.layout(digest)) or b"")
        return layouts


def _place(entry_id: str) -> tuple[int, int, bool]:
    """Return what orders the beginnings of a range; `(` in front of an id begins after it."""
    first, _, second = entry_id.removeprefix("(").partition("-")
    return int(first), int(second or 0), entry_id.startswith("(")
