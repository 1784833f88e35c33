"""The Redis queue's second half: scores become events, and events are delivered."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

from xclip_stream.codec import decode_message, decode_scores, encode_message, encode_rule_status
from xclip_stream.errors import DecodeError
from xclip_stream.evidence import EvidenceRecord, EvidenceRequest
from xclip_stream.history_codec import encode_judged, encode_layout, layout_digest
from xclip_stream.protocols import RuleStatus, TakenMessage, TakenScores
from xclip_stream.queues.limits import REQUESTS_KEPT, RULEBOOKS_KEPT
from xclip_stream.queues.redis_connection import Argument, ServerFull
from xclip_stream.queues.redis_consumer import (
    ALERT,
    Fields,
    RedisConsumer,
    fields_of,
    letter_fields,
    milliseconds,
    stale,
    text_of,
)
from xclip_stream.types import Message, Scores, WindowId

_PAGE = 500


class RedisAlert(RedisConsumer):
    """The alert role. It has one owner at a time, so scores need no consumer group: they are there until a commit."""

    def acquire_alert(self, *, ttl_s: float) -> int | None:
        acquired = self._acquire(ALERT, ttl_s=ttl_s)
        if acquired is None:
            return None
        token, self._commits = acquired
        self._cursors.pop(ALERT, None)
        return token

    def renew_alert(self, token: int, *, ttl_s: float) -> None:
        if not self._renew(ALERT, token, ttl_s=ttl_s, commits=self._commits):
            raise stale(ALERT)

    def release_alert(self, token: int) -> None:
        self._release(ALERT, token)

    def load_states(self) -> Mapping[str, bytes]:
        states = self._call("HGETALL", self._keys.state)
        return {text_of(source_id): state for source_id, state in states.items()}

    def take_scores(self, token: int, *, max_count: int, block_s: float) -> list[TakenScores]:
        cursor = self._cursor(ALERT)
        found = self._read_after(self._keys.scores, cursor, max_count=max_count, block_s=block_s)
        self._move_cursor(ALERT, cursor, found)
        return [
            taken for entry_id, fields in found if (taken := self._decoded_scores(token, entry_id.decode(), fields))
        ]

    def commit(
        self,
        token: int,
        *,
        source_id: str,
        state: bytes,
        events: Sequence[Message],
        outbox: Sequence[tuple[str, Message]],
        done: Sequence[str],
        judged: Sequence[Scores] = (),
        evidence: Sequence[EvidenceRequest] = (),
        judged_epoch: str = "",
    ) -> None:
        sinks = sorted({sink_id for sink_id, _ in outbox})
        keys = [self._keys.lease(ALERT), self._keys.alert, self._keys.state, self._keys.events, self._keys.scores]
        keys += [self._keys.history(source_id), self._keys.evidence_wanted(source_id)]
        keys += [self._keys.evidence_judged(source_id), self._keys.known, *map(self._keys.outbox, sinks)]
        content: list[Argument] = [source_id, state, self._limits.events_retained, len(done), *done]
        content += [len(events), *(part for message in events for part in (message.message_id, message.body))]
        content += [len(outbox)]
        for sink_id, message in outbox:
            content += [sinks.index(sink_id), encode_message(message)]
        layouts, history = self._history_of(judged)
        keys += map(self._keys.layout, layouts)
        content += [milliseconds(self._limits.history_s), self._limits.history_entries, len(history), *history]
        content += [len(layouts), *layouts.values()]
        content += [REQUESTS_KEPT, len(evidence), *(request.encode() for request in evidence), judged_epoch]
        reply = self._run("commit", keys, [token, self._commits, _digest(token, content), *content])
        if reply == -1:
            raise stale(ALERT)
        self._commits = reply

    def report_rules(self, status: RuleStatus) -> None:
        keys = [self._keys.rule_statuses, self._keys.scores]
        self._run("report", keys, [status.source_id, encode_rule_status(status)])

    def want_rescored(self, window_id: WindowId, *, ttl_s: float) -> None:
        name = f"{window_id.seq}:{window_id.epoch}"
        # A full server takes no window to be scored either, and the commits go on without.
        with suppress(ServerFull):
            self._call("SET", self._keys.rescore(window_id.source_id), name, "PX", milliseconds(ttl_s))

    def evidence_of(self, event_ids: Sequence[str]) -> Mapping[str, EvidenceRecord]:
        found = self._call("MGET", *map(self._keys.evidence_made, event_ids)) if event_ids else ()
        records: dict[str, EvidenceRecord] = {}
        for event_id, record in zip(event_ids, found, strict=True):
            # Of another version of the package: then it is not known.
            with suppress(DecodeError):
                records |= {} if record is None else {event_id: EvidenceRecord.decode(record)}
        return records

    def keep_rulebook(self, config_hash: str, rulebook: bytes) -> None:
        self._run("keep_rulebook", [self._keys.rulebooks], [config_hash, rulebook, RULEBOOKS_KEPT])

    def _history_of(self, judged: Sequence[Scores]) -> tuple[dict[str, bytes], list[bytes]]:
        """Return the layouts of what is added to the history, by their digest, and the entries."""
        if self._limits.history_s == 0:
            return {}, []
        layouts: dict[str, bytes] = {}
        entries = []
        for scores in judged:
            layout = encode_layout(scores)
            digest = layout_digest(layout)
            layouts[digest] = layout
            entries.append(encode_judged(scores, digest))
        return layouts, entries

    def _decoded_scores(self, token: int, entry_id: str, fields: Fields) -> TakenScores | None:
        """Read scores; what this version cannot read waits among the dead letters for one that can."""
        try:
            scores = replace(decode_scores(fields.get(b"scores", b"")), generation=int(fields[b"generation"]))
        except (DecodeError, KeyError, ValueError) as error:
            keys = [self._keys.scores, self._keys.lease(ALERT), self._keys.dead, self._keys.counters]
            subject = text_of(fields.get(b"source", b""))
            letter = letter_fields(home="scores", subject=subject, reason=str(error), deliveries=1)
            self._run("bury_scores", keys, [token, entry_id, *self._burial(), *letter])
            return None
        return TakenScores(entry_id, scores)


class RedisDelivery(RedisConsumer):
    """The deliver role: one owner for each outbox."""

    def acquire_sink(self, sink_id: str, *, ttl_s: float) -> int | None:
        acquired = self._acquire(_role(sink_id), ttl_s=ttl_s)
        if acquired is None:
            return None
        self._cursors.pop(_role(sink_id), None)
        return acquired[0]

    def renew_sink(self, sink_id: str, token: int, *, ttl_s: float) -> None:
        if not self._renew(_role(sink_id), token, ttl_s=ttl_s):
            raise stale(_role(sink_id))

    def release_sink(self, sink_id: str, token: int) -> None:
        self._release(_role(sink_id), token)

    def take_messages(self, sink_id: str, *, max_count: int, block_s: float) -> list[TakenMessage]:
        outbox, cursor = self._keys.outbox(sink_id), self._cursor(_role(sink_id))
        if block_s > 0 and not self._read_after(outbox, cursor, max_count=1, block_s=block_s):
            return []
        found = self._read_messages(sink_id, max_count=max_count)
        return [taken for entry in found if (taken := self._decoded_message(sink_id, entry))]

    def settle_message(self, sink_id: str, taken: TakenMessage) -> None:
        keys = [self._keys.outbox(sink_id), self._keys.deliveries(sink_id)]
        self._run("settle_message", keys, [taken.entry_id])

    def bury_message(self, sink_id: str, taken: TakenMessage, *, reason: str) -> None:
        self._bury_message(
            sink_id, taken.entry_id, subject=taken.message.message_id, reason=reason, deliveries=taken.deliveries
        )

    def _read_messages(self, sink_id: str, *, max_count: int) -> list[Any]:
        role = _role(sink_id)
        cursor = self._cursor(role)
        keys = [self._keys.outbox(sink_id), self._keys.lease(role), self._keys.deliveries(sink_id)]
        found: list[Any] | None = self._run("take_messages", keys, [self._holder, cursor, max_count])
        if found is None:
            raise stale(role)
        self._move_cursor(role, cursor, found)
        return found

    def _decoded_message(self, sink_id: str, entry: list[Any]) -> TakenMessage | None:
        entry_id, flat, deliveries = entry
        try:
            message = decode_message(fields_of(flat).get(b"message", b""))
        except DecodeError as error:
            self._bury_message(sink_id, entry_id.decode(), subject="", reason=str(error), deliveries=deliveries)
            return None
        return TakenMessage(entry_id.decode(), message, deliveries)

    def _bury_message(self, sink_id: str, entry_id: str, *, subject: str, reason: str, deliveries: int) -> None:
        keys = [self._keys.outbox(sink_id), self._keys.deliveries(sink_id), self._keys.dead, self._keys.counters]
        letter = letter_fields(home=f"outbox:{sink_id}", subject=subject, reason=reason, deliveries=deliveries)
        self._run("bury_message", keys, [entry_id, *self._burial(), *letter])


class RedisEvents(RedisConsumer):
    """The public event stream: each entry has the fields `id` (the message id) and `event` (CloudEvents JSON)."""

    def last_event_id(self) -> str:
        newest = self._call("XREVRANGE", self._keys.events, "+", "-", "COUNT", 1)
        return newest[0][0].decode() if newest else "0"

    def newest_events(self, *, max_count: int) -> list[tuple[str, bytes]]:
        pages: list[tuple[str, bytes]] = []
        before = "+"
        while len(pages) < max_count:
            # In pages, so that no reply keeps the server from others for long.
            wanted = min(_PAGE, max_count - len(pages))
            found = self._call("XREVRANGE", self._keys.events, before, "-", "COUNT", wanted)
            pages += [(entry_id.decode(), fields.get(b"event", b"")) for entry_id, fields in found]
            if len(found) < wanted:
                break
            before = f"({pages[-1][0]}"
        return pages[::-1]

    def read_events(self, *, after_id: str, max_count: int, block_s: float) -> list[tuple[str, bytes]]:
        found = self._read_after(self._keys.events, after_id, max_count=max_count, block_s=block_s)
        return [(entry_id.decode(), fields.get(b"event", b"")) for entry_id, fields in found]


def _role(sink_id: str) -> str:
    return f"sink:{sink_id}"


def _digest(token: int, content: Sequence[Argument]) -> str:
    """Return the name of a commit: the same for the same step, so that a repeated one is known."""
    digest = sha256(str(token).encode())
    for part in content:
        value = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(value).to_bytes(8) + value)
    return digest.hexdigest()
