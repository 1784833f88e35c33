"""The loop that decides: take scores, put them in order, let the rules judge them, commit the events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from structlog.typing import FilteringBoundLogger

from xclip_stream.basis import filled
from xclip_stream.errors import DecodeError, QueueUnavailable, StaleOwner
from xclip_stream.events import encode_event
from xclip_stream.meters import AlertMeters
from xclip_stream.pipeline.alert_evidence import evidence_wanted, with_evidence
from xclip_stream.pipeline.alert_source import AlertSource
from xclip_stream.pipeline.backoff import QueueOutage
from xclip_stream.pipeline.vitals import Pulse
from xclip_stream.protocols import AlertQueue, Clock, RuleStatus
from xclip_stream.rule_state import RuleState, newly_lost
from xclip_stream.rulebook import encode_rules
from xclip_stream.rules import Notice, Rule, default_gap_s, reconcile, stands_in_vain, step
from xclip_stream.types import Latency, Message, Phase, Scores

STRANGER_PATIENCE_S = 60.0
"""How long scores of a source that no configuration has named yet wait for one that does."""
_ASKING_S = 0.1
"""How often the configuration is looked at while some wait."""
_RESCORE_TOLD_S = 10.0
"""A reader that reports once a second has heard it by then."""
_USUAL_GAP_S = default_gap_s(span_s=4.0, stride_s=1.0)
_NO_TEXT = "\ufffd"
"""Stands in a name that was not read as text. The names of sources are plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """All that the configuration says to the alert loop.

    `evidence_urls` has for each source of which evidence is kept the URL under which it is found.

    `sink_ids` are the outboxes that somebody empties; what was decided for other sinks goes to none. `gap_s` has for
    each source the hole in event time that ends what is open; a source that is not in it is none of the configuration.
    """

    rules: Sequence[Rule]
    sink_ids: frozenset[str]
    gap_s: Mapping[str, float]
    config_hash: str
    evidence_urls: Mapping[str, str] = field(default_factory=dict)


class AlertLoop:
    """Turns scores into events until it is asked to stop; one such loop works at a time, others stand by.

    State, events, outboxes and the acknowledgement of the scores are committed in one step of the queue, source by
    source, so a loop that dies at any point leaves all to its successor: what is committed is told, and what is not
    comes again. Scores that arrive before their turn stay unacknowledged until it has come. When the queue was away,
    or another loop has taken over, everything in memory is dropped and read again, because nobody can tell then what
    was committed.

    A stop leaves events open: the next loop goes on with them. Sources end their own.

    A new rulebook is taken up between two commits: the events of rules and sources that are not in it as they were
    end, with the reason `configuration`, each source in one commit; all others go on. Whoever scores may have read a
    new configuration sooner: scores of a source that was never in a rulebook wait for one that has it.

    Args:
        rulebook: what to decide by.
        new_rulebook: gives the next one once, when there is one; asked often.
        hurry: is called before `new_rulebook` while scores wait for it, so that it is looked for at once.
        lease_s: how long a loop that has died keeps the others waiting.
        max_age_s: how old a window of a camera may become in the queue; scores for it are waited for as long.
    """

    def __init__(
        self,
        *,
        queue: AlertQueue,
        rulebook: Rulebook,
        new_rulebook: Callable[[], Rulebook | None] = lambda: None,
        hurry: Callable[[], None] = lambda: None,
        clock: Clock,
        stopping: Callable[[], bool],
        log: FilteringBoundLogger,
        lease_s: float = 5.0,
        max_age_s: float = 10.0,
        block_s: float = 0.25,
        max_count: int = 256,
        pulse: Pulse | None = None,
        meters: AlertMeters | None = None,
    ) -> None:
        self._queue = queue
        self._book = rulebook
        self._new_book = new_rulebook
        self._hurry = hurry
        self._met = set(rulebook.gap_s)
        self._clock = clock
        self._stopping = stopping
        self._log = log
        self._lease_s = lease_s
        self._max_age_s = max_age_s
        self._block_s = block_s
        self._max_count = max_count
        self._meters = meters or AlertMeters()
        self._outage = QueueOutage(clock=clock, stopping=stopping, log=log, pulse=pulse)
        self._token: int | None = None
        self._renewed_at = 0.0
        self._standing_by: bool | None = None
        self._sources: dict[str, AlertSource] = {}

    def run(self) -> None:
        """Decide until asked to stop.

        Raises:
            DecodeError: the queue holds a state that this version cannot read, or that no event can be made of.
        """
        while not self._stopping():
            try:
                self._serve()
            except StaleOwner:
                self._log.warning("alert_taken_over")
            except QueueUnavailable as error:
                self._outage.wait(error)
        self._leave()

    def _serve(self) -> None:
        """Become the one that decides, and do so until asked to stop."""
        self._exchange_book()
        if not self._acquire():
            self._outage.over()
            self._clock.sleep(self._lease_s / 3)
            return
        self._load()
        while not self._stopping():
            self.step()

    def step(self) -> None:
        """Wait for scores, once, and commit what has its turn. Only for the loop that holds the lease."""
        token = self._renew()
        has_strangers = self._has_strangers()
        if has_strangers:
            self._hurry()
        if self._exchange_book():
            self._settle_all(token)
        block_s = _ASKING_S if has_strangers else self._block_s
        taken = self._queue.take_scores(token, max_count=self._max_count, block_s=block_s)
        self._outage.over()
        now_s = self._clock.monotonic()
        for entry in taken:
            self._source(entry.scores.id.source_id, now_s=now_s).add(entry, now_s=now_s)
        for source in self._sources.values():
            if source.is_quiet:
                continue  # most of many sources, at each step
            if not self._is_stranger(source, now_s=now_s):
                self._decide(token, source, now_s=now_s)
            if source.is_report_due(now_s):
                self._report(source, now_s=now_s)

    def _acquire(self) -> bool:
        self._give_back()
        self._token = self._queue.acquire_alert(ttl_s=self._lease_s)
        self._renewed_at = self._clock.monotonic()
        standing_by = self._token is None
        if standing_by is not self._standing_by:
            self._log.info("standing_by" if standing_by else "alert_acquired")
        self._standing_by = standing_by
        return not standing_by

    def _renew(self) -> int:
        if self._token is None:
            raise StaleOwner("the alert lease is not held")
        now_s = self._clock.monotonic()
        if now_s - self._renewed_at >= self._lease_s / 3:
            self._queue.renew_alert(self._token, ttl_s=self._lease_s)
            self._renewed_at = now_s
        return self._token

    def _give_back(self) -> None:
        if self._token is not None:
            self._queue.release_alert(self._token)
            self._token = None

    def _leave(self) -> None:
        try:
            for source in self._sources.values():
                if self._token is not None and source.is_changed:
                    self._report(source, now_s=self._clock.monotonic())
            self._give_back()
        except QueueUnavailable as error:
            self._log.info("lease_left_to_expire", error=str(error))

    def _load(self) -> None:
        """Read what is committed, and end the events of rules that are not what they were."""
        token = self._renew()
        stored = self._queue.load_states()
        foreign = [name for name in stored if _NO_TEXT in name]
        if foreign:
            self._log.warning("foreign_states", names=foreign)
        states = {name: _decoded(name, body) for name, body in sorted(stored.items()) if name not in foreign}
        now_s = self._clock.monotonic()
        self._sources = {
            source_id: AlertSource(state, now_s=now_s, max_age_s=self._max_age_s) for source_id, state in states.items()
        }
        self._met.update(states)
        self._settle_all(token)

    def _exchange_book(self) -> bool:
        """Take up a new rulebook if there is one. What is committed has to be settled after that."""
        book = self._new_book()
        if book is None:
            return False
        self._book = book
        self._met.update(book.gap_s)
        return True

    def _settle_all(self, token: int) -> None:
        """Keep the rules for those who ask later, and end the events of those that are not what they were."""
        self._queue.keep_rulebook(self._book.config_hash, encode_rules(self._book.rules))
        for source in self._sources.values():
            state, notices = reconcile(source.state, self._book.rules, config_hash=self._book.config_hash)
            if notices:
                self._commit(token, source, state, [(notice, None) for notice in notices], done=[])
            source.state = state
        self._meters.configured(
            source_ids=self._book.gap_s.keys(), rule_ids={rule.rule_id for rule in self._book.rules}
        )

    def _source(self, source_id: str, *, now_s: float) -> AlertSource:
        if source_id not in self._sources:
            self._sources[source_id] = AlertSource(RuleState(source_id), now_s=now_s, max_age_s=self._max_age_s)
        return self._sources[source_id]

    def _has_strangers(self) -> bool:
        """True while scores wait for the rulebook that knows their source."""
        return any(name not in self._met and not source.is_quiet for name, source in self._sources.items())

    def _is_stranger(self, source: AlertSource, *, now_s: float) -> bool:
        """True while the scores of a source wait for the rulebook that knows it."""
        source_id = source.state.source_id
        if source_id in self._met:
            return False
        if now_s - source.met_at_s < STRANGER_PATIENCE_S:
            return True
        self._met.add(source_id)
        self._log.warning("unknown_source", source=source_id, waited_s=STRANGER_PATIENCE_S)
        return False

    def _decide(self, token: int, source: AlertSource, *, now_s: float) -> None:
        """Judge the scores of a source whose turn has come, and commit them together with what is only to be let go."""
        released = source.ordering.release(now_s=now_s)
        if not released and not source.refused:
            return
        before, state, told, book = source.state, source.state, list[tuple[Notice, Scores | None]](), self._book
        gap_s = book.gap_s.get(state.source_id, _USUAL_GAP_S)
        judged = list[Scores]()
        for taken in released:
            scores = filled(taken.scores, state.basis)
            state, notices = step(state, scores, book.rules, gap_s=gap_s, config_hash=book.config_hash)
            told += [(notice, scores) for notice in notices]
            judged.append(scores)
            source.note(scores)
        done = [*source.refused, *(taken.entry_id for taken in released)]
        self._commit(token, source, state, told, done=done, judged=judged)
        self._want_rescored(judged)
        self._log_commit(source, count=len(released), events=len(told), now_s=now_s)
        self._meters.scores_judged(
            state.source_id,
            judged,
            lost=newly_lost(before, state),
            late=source.late,
            took_s=self._clock.monotonic() - now_s,
        )
        source.refused.clear()
        source.late = 0

    def _want_rescored(self, judged: Sequence[Scores]) -> None:
        """Ask for new scores where those that stand for a window are missing, or older than the rules."""
        in_vain = [scores for scores in judged if stands_in_vain(scores, self._book.rules)]
        if in_vain and in_vain[-1].same_as is not None:
            self._queue.want_rescored(replace(in_vain[-1].id, seq=in_vain[-1].same_as), ttl_s=_RESCORE_TOLD_S)

    def _commit(
        self,
        token: int,
        source: AlertSource,
        state: RuleState,
        told: Sequence[tuple[Notice, Scores | None]],
        *,
        done: Sequence[str],
        judged: Sequence[Scores] = (),
    ) -> None:
        now = self._clock.now()
        notices = [_with_latency(notice, scores, now) for notice, scores in told]
        base_url = self._book.evidence_urls.get(state.source_id)
        if base_url is not None:
            notices = self._with_evidence(notices, base_url)
        messages = [_message(notice, now) for notice in notices]
        outbox = [
            (sink_id, message)
            for notice, message in zip(notices, messages, strict=True)
            for sink_id in notice.sinks
            if sink_id in self._book.sink_ids
        ]
        self._queue.commit(
            token,
            source_id=state.source_id,
            state=state.encode(),
            events=messages,
            outbox=outbox,
            done=done,
            judged=judged,
            evidence=[] if base_url is None else [evidence_wanted(notice) for notice in notices],
            judged_epoch="" if base_url is None else _file_judged(judged),
        )
        source.state = state
        source.is_changed = True
        for notice in notices:
            self._log_event(notice)
            self._meters.event_told(notice.event)

    def _with_evidence(self, notices: Sequence[Notice], base_url: str) -> list[Notice]:
        """Add where the evidence is: to an update what is there by now, to the end what is there or is being made."""
        asked_for = {notice.event.event_id for notice in notices if notice.event.phase is not Phase.STARTED}
        records = self._queue.evidence_of(sorted(asked_for))
        return [with_evidence(notice, records.get(notice.event.event_id), base_url) for notice in notices]

    def _report(self, source: AlertSource, *, now_s: float) -> None:
        state = source.state
        rule_id, score = source.top(self._book.rules)
        self._queue.report_rules(
            RuleStatus(
                source_id=state.source_id,
                windows=state.counts.windows,
                dropped=state.counts.dropped + state.counts.lost,
                expired=state.counts.expired,
                failed=state.counts.failed,
                position_s=state.position_s,
                top_rule=rule_id,
                top_score=score,
                open_events=state.open_events,
                events=state.counts.events,
                updated_at=self._clock.now(),
                unchanged=state.counts.unchanged,
            )
        )
        source.reported(now_s)

    def _log_commit(self, source: AlertSource, *, count: int, events: int, now_s: float) -> None:
        self._log.debug(
            "scores_committed",
            source=source.state.source_id,
            count=count,
            next_seq=source.state.position.next_seq,
            events=events,
            late=source.late,
            duplicates=len(source.refused) - source.late,
            waiting=source.ordering.waiting,
            ms=round((self._clock.monotonic() - now_s) * 1000, 1),
        )

    def _log_event(self, notice: Notice) -> None:
        event = notice.event
        self._log.info(
            f"event_{event.phase}",
            source=event.source_id,
            rule=event.rule_id,
            region=event.region,
            message_id=event.message_id,
            prompt=event.prompt,
            score=event.score,
            peak=event.peak_score,
            reason=event.end_reason,
            latency_ms=None if event.latency is None else round(event.latency.committed_ms),
        )


def _decoded(source_id: str, body: bytes) -> RuleState:
    try:
        return RuleState.decode(body)
    except DecodeError as error:
        raise DecodeError(
            f"source {source_id}: {error}; run the version that wrote it, or forget the source"
        ) from error


def _with_latency(notice: Notice, scores: Scores | None, now: float) -> Notice:
    """Add the trace of the window and where the time went: from the capture for a camera, from its cutting for a file.

    No part of it is less than zero, whatever the clocks of other machines say.
    """
    if scores is None or not scores.is_scored:
        return notice
    since = scores.captured_at if scores.live else scores.produced_at
    latency = Latency(
        produced_ms=max(0.0, scores.produced_at - since) * 1000,
        scored_ms=max(0.0, scores.scored_at - since) * 1000,
        committed_ms=max(0.0, now - since) * 1000,
    )
    return replace(notice, event=replace(notice.event, latency=latency, traceparent=scores.traceparent or None))


def _file_judged(judged: Sequence[Scores]) -> str:
    """Return the epoch of a file that has ended with these scores."""
    ended = [scores.id.epoch for scores in judged if not scores.live and scores.status.ends_epoch]
    return ended[-1] if ended else ""


def _message(notice: Notice, now: float) -> Message:
    event = notice.event
    try:
        body = encode_event(event, number=notice.number)
    except (ValueError, OverflowError):
        # Scores are checked where they are read, so it comes from a state that somebody else wrote.
        raise DecodeError(
            f"source {event.source_id}: the stored rule state has an event that cannot be told; forget the source"
        ) from None
    return Message(message_id=event.message_id, source_id=event.source_id, body=body, committed_at=now)
