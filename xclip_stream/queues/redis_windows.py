"""The Redis queue's first half: windows come in, scores go out."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from xclip_stream.codec import (
    decode_scores,
    decode_window_parts,
    encode_picture,
    encode_scores,
    encode_source_status,
    encode_window_header,
    window_pixels,
)
from xclip_stream.errors import DecodeError, QueueError
from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.protocols import Admission, Admitted, SourceStatus, TakenRequest, TakenWindow, Wishes
from xclip_stream.queues.limits import FILE_SHARE, FILES_FIRST_EVERY, gone_with_it
from xclip_stream.queues.redis_connection import Argument, NoGroup, ServerFull
from xclip_stream.queues.redis_consumer import (
    Fields,
    HeldWindow,
    RedisConsumer,
    block_ms,
    count_of,
    fields_of,
    letter_fields,
    milliseconds,
    source_role,
    stale,
    text_of,
)
from xclip_stream.types import Picture, Scores, ScoreStatus, Window, WindowId

GROUP = "score"
_UNLIMITED = 1 << 53
_REQUESTS_AT_ONCE = 100
_CLAIM_EVERY_S = 1.0
"""How often is looked for what others have left, while they leave nothing."""
_MAX_HELD = 4096
"""More than two batches of the greatest size. The rest are windows that failed here and went to others."""


class RedisIngest(RedisConsumer):
    """The ingest role."""

    def begin_epoch(self, source_id: str, epoch: str, *, live: bool, token: int = 0) -> int:
        keys = [self._keys.source(source_id), self._keys.scores, self._keys.counters]
        closing: tuple[str, bytes] = ("", b"")
        while True:
            answer, *details = self._run("begin_epoch", keys, [source_id, epoch, int(live), token, *closing])
            if answer == b"stale":
                raise stale(source_role(source_id))
            try:
                if answer == b"begun":
                    return int(details[0])
                closing = _closing(source_id, details)
            except (IndexError, ValueError):
                raise QueueError(
                    f"source {source_id}: what Redis knows of its epoch cannot be read; forget the source"
                ) from None

    def add_window(self, window: Window, *, token: int = 0) -> Admitted:
        keys = [
            self._keys.source(window.id.source_id),
            self._keys.windows(live=window.live),
            self._keys.counters,
            self._keys.scores,
        ]
        content: list[Argument] = [
            encode_window_header(window),
            encode_scores(_failed(window)),
            window_pixels(window),
        ]
        position = _position(window.id, pts_s=window.last_pts_s, captured_at=window.captured_at)
        caps = self._caps(live=window.live)
        try:
            return _admitted(self._run("add_window", keys, [*position, token, *caps, *content]))
        except ServerFull:
            # Full of something else than windows. To the source that makes no difference.
            return Admitted(Admission.FULL, window.id.seq)

    def add_tombstone(
        self,
        window_id: WindowId,
        *,
        status: ScoreStatus,
        live: bool,
        pts_s: float,
        captured_at: float,
        token: int = 0,
    ) -> Admitted:
        scores = _tombstone(window_id, status=status, live=live, pts_s=pts_s, captured_at=captured_at)
        return self._add_scores(scores, token=token)

    def add_unchanged(
        self, window_id: WindowId, *, same_as: int, first_pts_s: float, pts_s: float, captured_at: float, token: int = 0
    ) -> Admitted:
        scores = _tombstone(window_id, status=ScoreStatus.UNCHANGED, live=True, pts_s=pts_s, captured_at=captured_at)
        return self._add_scores(replace(scores, first_pts_s=first_pts_s, same_as=same_as), token=token)

    def _add_scores(self, scores: Scores, *, token: int) -> Admitted:
        keys = [self._keys.source(scores.id.source_id), self._keys.scores]
        position = _position(scores.id, pts_s=scores.last_pts_s, captured_at=scores.captured_at)
        content: list[Argument] = [int(scores.status.ends_epoch), encode_scores(scores)]
        try:
            return _admitted(self._run("add_tombstone", keys, [*position, token, self._limits.max_scores, *content]))
        except ServerFull:
            return Admitted(Admission.FULL, scores.id.seq)

    def report_source(self, status: SourceStatus) -> Wishes:
        source_id, role = status.source_id, f"evidence:{status.source_id}"
        keys = [self._keys.source_statuses, self._keys.scores, self._keys.looked_at(source_id)]
        keys += [self._keys.evidence_wanted(source_id), self._keys.evidence_judged(source_id)]
        keys += [self._keys.rescore(source_id)]
        cursor = self._cursor(role)
        arguments: list[Argument] = [source_id, encode_source_status(status), cursor, _REQUESTS_AT_ONCE]
        looked_at, found, judged, rescore = self._run("report_source", keys, arguments)
        self._move_cursor(role, cursor, found)
        requests = tuple(taken for entry in found if (taken := self._decoded_request(source_id, entry)))
        return Wishes(
            picture=bool(looked_at),
            requests=requests,
            judged_epoch=text_of(judged),
            rescore=_window_to_rescore(source_id, text_of(rescore)),
        )

    def put_picture(self, source_id: str, picture: Picture, *, ttl_s: float) -> None:
        self._call("SET", self._keys.picture(source_id), encode_picture(picture), "PX", milliseconds(ttl_s))

    def record_evidence(
        self, source_id: str, event_id: str, record: EvidenceRecord, *, ttl_s: float, settled: Sequence[str] = ()
    ) -> None:
        keys = [self._keys.evidence_made(event_id), self._keys.evidence_wanted(source_id)]
        self._run("record_evidence", keys, [record.encode(), milliseconds(ttl_s), *settled])

    def _decoded_request(self, source_id: str, entry: list[Any]) -> TakenRequest | None:
        """Read a request; one of another version of the package is let go of."""
        entry_id, fields = entry[0].decode(), fields_of(entry[1])
        try:
            return TakenRequest(entry_id, EvidenceRequest.decode(fields.get(b"request", b"")))
        except DecodeError:
            self._call("XDEL", self._keys.evidence_wanted(source_id), entry_id)
            return None

    def _caps(self, *, live: bool) -> list[Argument]:
        room = self._connection.window_room_bytes(self._limits.max_bytes)
        if live:
            return [room, self._limits.live_windows, _UNLIMITED]
        return [int(room * FILE_SHARE), self._limits.file_windows, self._limits.max_scores]


class RedisScoring(RedisConsumer):
    """The score role: a consumer of one group over two streams, one of live windows and one of files."""

    def take_windows(self, *, max_count: int, block_s: float) -> list[TakenWindow]:
        try:
            taken = self._take_windows(max_count=max_count, block_s=block_s)
        except NoGroup:
            self._create_groups()
            taken = self._take_windows(max_count=max_count, block_s=block_s)
        return self._with_waits(taken)

    def hold_windows(self, taken: Sequence[TakenWindow]) -> None:
        entry_ids = [each.entry_id for each in (*taken, *self._spare)]
        streams = [entry_id.rpartition("/")[0] for entry_id in entry_ids]
        ids = [entry_id.rpartition("/")[2] for entry_id in entry_ids]
        if entry_ids:
            self._run("hold_windows", streams, [GROUP, self._consumer, *ids])

    def publish_scores(self, taken: TakenWindow, scores: Scores) -> bool:
        held = self._held.get(taken.entry_id)
        if held is None:
            return self._was_last_published(taken)
        arguments = [*_letting_go(held), encode_scores(replace(scores, generation=held.generation))]
        published = bool(self._run("publish_scores", self._letting_go_keys(held), arguments))
        del self._held[taken.entry_id]
        return published

    def bury_window(self, taken: TakenWindow, *, reason: str) -> bool:
        held = self._held.get(taken.entry_id)
        if held is None:
            return self._was_last_published(taken)
        buried = self._bury(held, reason=reason, deliveries=taken.deliveries, asked_for=True)
        del self._held[taken.entry_id]
        return buried

    def forget_consumers(self, *, idle_s: float = 3600.0) -> None:
        """Forget the consumers that have not asked for windows for so long and hold none."""
        self._run("forget_consumers", self._window_streams(), [GROUP, round(1000 * idle_s)])

    def _with_waits(self, taken: Sequence[TakenWindow]) -> list[TakenWindow]:
        """Add how long live windows have waited. Only the server's clock can tell: it has made the ids."""
        if not any(entry.window.live for entry in taken):
            return list(taken)
        seconds, microseconds = self._run("server_time", [self._keys.live_windows])
        now_s = int(seconds) + int(microseconds) / 1e6
        return [
            replace(entry, waited_s=max(0.0, now_s - _added_at(entry))) if entry.window.live else entry
            for entry in taken
        ]

    def _take_windows(self, *, max_count: int, block_s: float) -> list[TakenWindow]:
        suspect = self._take_over()
        if suspect:
            return [suspect]
        if self._batches == 0:
            self.forget_consumers()
        taken, self._spare = self._spare[:max_count], self._spare[max_count:]
        self._batches += 1
        streams = self._window_streams()
        if self._batches % FILES_FIRST_EVERY == 0:
            streams.reverse()
        if taken or block_s <= 0 or not self._windows_came_singly:
            for stream in streams:
                if len(taken) < max_count:
                    taken += self._read([stream], max_count=max_count - len(taken), block_s=0.0)
        if not taken and block_s > 0:
            taken = self._wait_for_windows(streams, max_count=max_count, block_s=block_s)
        return taken

    def _wait_for_windows(self, streams: Sequence[str], *, max_count: int, block_s: float) -> list[TakenWindow]:
        # Both streams may answer, each with as many as were asked for.
        most = max(1, max_count // 2)
        found = self._read(streams, max_count=most, block_s=block_s)
        self._windows_came_singly = len(found) < most or len(found) == 1 == max_count
        self._spare = found[max_count:]
        return found[:max_count]

    def _read(self, streams: Sequence[str], *, max_count: int, block_s: float) -> list[TakenWindow]:
        block: list[Argument] = ["BLOCK", block_ms(block_s)] if block_s > 0 else []
        options = ["GROUP", GROUP, self._consumer, "COUNT", max_count, *block, "STREAMS", *streams]
        reply = self._call("XREADGROUP", *options, *[">"] * len(streams))
        found = [
            (_held_window(stream.decode(), entry_id.decode(), fields), fields)
            for stream, entries in reply
            for entry_id, fields in entries
        ]
        return [taken for held, fields in found if (taken := self._decoded(held, fields, deliveries=1))]

    def _take_over(self) -> TakenWindow | None:
        """Take one window of a dead consumer. It comes alone: it may be what the consumer died of."""
        while claimed := self._claim():
            number, entry_id, deliveries, flat = claimed
            fields = fields_of(flat)
            held = _held_window(self._window_streams()[int(number) - 1], entry_id.decode(), fields)
            if deliveries > self._limits.max_deliveries:
                self._bury(held, reason=gone_with_it(deliveries - 1), deliveries=deliveries - 1)
            elif taken := self._decoded(held, fields, deliveries=deliveries):
                return taken
        return None

    def _claim(self) -> list[Any]:
        """Claim what was given to this consumer in a reply that it did not get, then what others have left."""
        keys = self._window_streams()
        if self._may_have_lost_windows:
            lost: list[Any] = self._run("claim_window", keys, [GROUP, self._consumer, 0, self._consumer, *self._held])
            if lost:
                return lost
            self._may_have_lost_windows = False
        if time.monotonic() < self._claim_at:
            return []
        idle_ms = round(1000 * self._claim_idle_s)
        stale: list[Any] = self._run("claim_window", keys, [GROUP, self._consumer, idle_ms, ""])
        if not stale:
            self._claim_at = time.monotonic() + min(_CLAIM_EVERY_S, self._claim_idle_s)
        return stale

    def _decoded(self, held: HeldWindow, fields: Fields, *, deliveries: int) -> TakenWindow | None:
        """Take a window into this consumer's hands, or bury it when it cannot be read."""
        try:
            window = decode_window_parts(fields.get(b"window", b""), fields.get(b"frames", b""))
        except DecodeError as error:
            self._bury(held, reason=str(error), deliveries=deliveries)
            return None
        self._held[held.entry_id] = held
        if len(self._held) > _MAX_HELD:
            del self._held[next(iter(self._held))]
        return TakenWindow(held.entry_id, window, held.generation, deliveries)

    def _bury(self, held: HeldWindow, *, reason: str, deliveries: int, asked_for: bool = False) -> bool:
        try:
            failed = decode_scores(held.tombstone)
        except DecodeError:
            subject, tombstone = f"{held.source_id}/{held.epoch}", b""
        else:
            subject = f"{failed.id.source_id}/{failed.id.epoch}/{failed.id.seq}"
            tombstone = encode_scores(replace(failed, scored_at=time.time()))
        letter = letter_fields(home=self._keys.name(held.stream), subject=subject, reason=reason, deliveries=deliveries)
        keys = [*self._letting_go_keys(held), self._keys.dead]
        arguments = [*_letting_go(held), tombstone, int(asked_for), *self._burial(), *letter]
        return bool(self._run("bury_window", keys, arguments))

    def _was_last_published(self, taken: TakenWindow) -> bool:
        """Tell whether a window that is not held any more was let go of by this consumer, last of all."""
        return bool(self._call("GET", self._keys.published(self._consumer)) == taken.entry_id.encode())

    def _letting_go_keys(self, held: HeldWindow) -> list[str]:
        return [
            held.stream,
            self._keys.counters,
            self._keys.source(held.source_id),
            self._keys.scores,
            self._keys.published(self._consumer),
        ]

    def _window_streams(self) -> list[str]:
        return [self._keys.live_windows, self._keys.file_windows]

    def _create_groups(self) -> None:
        self._run("create_groups", self._window_streams(), [GROUP])


def _window_to_rescore(source_id: str, name: str) -> WindowId | None:
    """Read what `want_rescored` wrote; None where it is nothing, or of another version of the package."""
    seq, _, epoch = name.partition(":")
    return WindowId(source_id, epoch, int(seq)) if re.fullmatch("[0-9]{1,18}", seq) else None


def _added_at(taken: TakenWindow) -> float:
    """Return when a window was added, in Unix seconds of the server."""
    milliseconds, _, _ = taken.entry_id.rpartition("/")[2].partition("-")
    return int(milliseconds) / 1000


def _held_window(stream: str, entry_id: str, fields: Fields) -> HeldWindow:
    return HeldWindow(
        stream=stream,
        id=entry_id,
        source_id=text_of(fields.get(b"source", b"")),
        epoch=text_of(fields.get(b"epoch", b"")),
        run=text_of(fields.get(b"run", b"")),
        generation=count_of(fields.get(b"generation", b"")),
        num_bytes=len(fields.get(b"frames", b"")),
        tombstone=fields.get(b"tombstone", b""),
    )


def _letting_go(held: HeldWindow) -> list[Argument]:
    return [GROUP, held.id, held.epoch, held.run, held.num_bytes, held.source_id, held.generation]


def _closing(source_id: str, details: list[bytes]) -> tuple[str, bytes]:
    """Return what closes the epoch that a source has open: which one was seen, and its SOURCE_ENDED tombstone."""
    epoch, next_seq, live, pts_s, captured_at = (detail.decode() for detail in details)
    scores = _tombstone(
        WindowId(source_id, epoch, int(next_seq)),
        status=ScoreStatus.SOURCE_ENDED,
        live=live == "1",
        pts_s=float(pts_s),
        captured_at=float(captured_at),
    )
    return f"{next_seq}:{epoch}", encode_scores(scores)


def _tombstone(window_id: WindowId, *, status: ScoreStatus, live: bool, pts_s: float, captured_at: float) -> Scores:
    """Return scores that take a `seq`. The generation is written beside them, by the script that knows it."""
    now = time.time()
    return Scores(window_id, 0, status, live, pts_s, pts_s, captured_at, produced_at=now, scored_at=now)


def _failed(window: Window) -> Scores:
    """Return what takes the `seq` of a window that cannot be scored, made while the window can still be read."""
    return Scores(
        id=window.id,
        generation=0,
        status=ScoreStatus.FAILED,
        live=window.live,
        first_pts_s=window.first_pts_s,
        last_pts_s=window.last_pts_s,
        captured_at=window.captured_at,
        produced_at=window.produced_at,
        scored_at=window.produced_at,
    )


def _position(window_id: WindowId, *, pts_s: float, captured_at: float) -> list[Argument]:
    return [window_id.source_id, window_id.epoch, window_id.seq, repr(float(pts_s)), repr(float(captured_at))]


def _admitted(reply: Sequence[Any]) -> Admitted:
    answer, next_seq = reply
    return Admitted(Admission(answer.decode()), int(next_seq))
