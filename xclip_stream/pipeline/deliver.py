"""The loop that empties the outbox of one sink. Each sink has its own, so that a dead one delays no other."""

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from structlog.typing import FilteringBoundLogger

from xclip_stream.errors import DeliveryError, DeliveryRejected, QueueUnavailable, SinkGone, StaleOwner
from xclip_stream.logs import hidden
from xclip_stream.meters import DeliverMeters
from xclip_stream.pipeline.backoff import Backoff, QueueOutage
from xclip_stream.pipeline.retry import RetryPolicy
from xclip_stream.pipeline.sink_lease import SinkLease
from xclip_stream.pipeline.vitals import Pulse
from xclip_stream.protocols import BatchSink, Clock, DeliveryQueue, Sink, TakenMessage

MAX_SLEEP_S = 1.0
"""No wait is longer in one piece, so that a stop is seen and the lease renewed."""
MAX_BATCH = 1000
"""More messages are never delivered in one piece."""


class DeliverLoop:
    """Delivers the messages of one sink, oldest first, until it is asked to stop.

    Guaranteed: a message is settled only after the sink has taken it, and the next one is not tried before that one is
    settled or buried, so a sink sees its messages in order, each at least once. A worker that dies, loses its lease or
    is stopped gives the message in hand and those after it to the next owner, who may deliver the one in hand again.

    A BatchSink gets what comes within its `window_s` in one piece. What it rejects is tried one by one, so that only
    the message that is at fault is lost. The sink is open only while this worker owns the outbox: a broker would take
    two workers for one client.

    Attempts are counted by one owner in one go: a restart begins to count, and to back off, anew. The age of a message
    counts from its commit and survives restarts, so `max_age_s` bounds how long a sink that takes nothing is tried.

    Args:
        lease_s: must be at least one and a half times as long as the longest `deliver` of the sink.
        draw: gives the random part of a delay, 0 to 1.
    """

    def __init__(
        self,
        *,
        sink_id: str,
        sink: Sink,
        queue: DeliveryQueue,
        clock: Clock,
        stopping: Callable[[], bool],
        log: FilteringBoundLogger,
        retry: RetryPolicy | None = None,
        lease_s: float = 5.0,
        batch_size: int = 32,
        block_s: float = 0.25,
        draw: Callable[[], float] = random.random,
        pulse: Pulse | None = None,
        meters: DeliverMeters | None = None,
    ) -> None:
        self._sink_id = sink_id
        self._sink = sink
        self._queue = queue
        self._clock = clock
        self._stopping = stopping
        self._log = log.bind(sink=sink_id)
        self._retry = retry or RetryPolicy()
        self._batch_size = batch_size
        self._block_s = block_s
        self._draw = draw
        self._opened = ExitStack()
        self._is_open = False
        self._lease = SinkLease(queue=queue, sink_id=sink_id, clock=clock, ttl_s=lease_s)
        self._pulse = pulse or Pulse()
        self._meters = meters or DeliverMeters()
        self._outage = QueueOutage(clock=clock, stopping=stopping, log=self._log, pulse=self._pulse)

    def run(self) -> None:
        """Deliver until asked to stop."""
        with self._opened:
            while not self._stopping():
                try:
                    self._serve()
                except StaleOwner:
                    self._log.info("sink_taken_over")
                    self._close_sink()
                except QueueUnavailable as error:
                    self._outage.wait(error)
        self._leave()

    def _serve(self) -> None:
        """Become the owner of the outbox and empty it, until asked to stop."""
        # An owner that lost a reply does not know what it holds: acquiring anew makes the queue hand it out again.
        if not self._lease.acquire():
            self._close_sink()
            self._outage.over()
            self._clock.sleep(MAX_SLEEP_S)
            return
        self._open_sink()
        while not self._stopping():
            self._lease.renew()
            messages = self._queue.take_messages(self._sink_id, max_count=self._batch_size, block_s=self._block_s)
            self._outage.over()
            for batch in self._batches(messages):
                self._finish(batch)

    def _open_sink(self) -> None:
        if not self._is_open:
            self._opened.enter_context(self._sink)
            self._is_open = True

    def _close_sink(self) -> None:
        self._opened.close()
        self._is_open = False

    def _leave(self) -> None:
        try:
            self._lease.release()
        except QueueUnavailable as error:
            self._log.info("lease_left_to_expire", error=str(error))

    def _batches(self, messages: list[TakenMessage]) -> list[list[TakenMessage]]:
        """Return what is delivered in one piece: each message alone, or all that a BatchSink waits for."""
        if not isinstance(self._sink, BatchSink):
            return [[taken] for taken in messages]
        until = self._clock.monotonic() + self._sink.window_s
        while messages and len(messages) < MAX_BATCH and (left_s := until - self._clock.monotonic()) > 0:
            if self._stopping():
                return []
            self._pulse.beat()
            self._lease.renew()
            max_count, block_s = MAX_BATCH - len(messages), min(left_s, self._block_s)
            found = self._queue.take_messages(self._sink_id, max_count=max_count, block_s=block_s)
            # After an outage, or what may have been one, the queue hands out again what is not settled.
            known = {taken.entry_id for taken in messages}
            messages += [taken for taken in found if taken.entry_id not in known]
        return [messages] if messages else []

    def _finish(self, batch: list[TakenMessage]) -> None:
        """Try a batch until all of it is settled or buried, or leave it when asked to stop."""
        backoff = Backoff(first_s=self._retry.first_delay_s, cap_s=self._retry.max_delay_s, draw=self._draw)
        while batch and not self._stopping():
            self._lease.renew()
            started_at = self._clock.monotonic()
            failure = self._attempt(batch)
            took_s = self._clock.monotonic() - started_at
            self._meters.attempted(failure, took_s=took_s)
            if failure is None:
                self._settle(batch, attempts=backoff.failures + 1, took_s=took_s)
                return
            if isinstance(failure, DeliveryRejected) and len(batch) > 1:
                for taken in batch:
                    self._finish([taken])
                return
            delay_s = max(backoff.next_delay_s(), failure.retry_after_s or 0.0)
            if isinstance(failure, SinkGone):
                delay_s = self._retry.max_delay_s
            batch = self._without_given_up(batch, failure, attempts=backoff.failures)
            if batch:
                self._log_failure(batch, failure, attempts=backoff.failures, delay_s=delay_s)
                self._wait(delay_s)

    def _attempt(self, batch: Sequence[TakenMessage]) -> DeliveryError | None:
        """Deliver once and return what went wrong."""
        try:
            if isinstance(self._sink, BatchSink):
                self._sink.deliver_all([taken.message for taken in batch])
            else:
                self._sink.deliver(batch[0].message)
        except DeliveryError as error:
            return error
        # A defect of one sink is a failed attempt: it shall end as a dead letter, not as a sink that stands still.
        except Exception as error:  # noqa: BLE001 - see above
            self._log.exception("sink_defect", message_id=batch[0].message.message_id)
            return DeliveryError(f"defect in the sink: {type(error).__name__}")
        return None

    def _without_given_up(
        self, batch: Sequence[TakenMessage], failure: DeliveryError, *, attempts: int
    ) -> list[TakenMessage]:
        """Bury what has waited or was tried for too long, and return the rest."""
        rest = []
        for taken in batch:
            reason = self._retry.reason_to_give_up(taken.message, failure, attempts=attempts, now=self._clock.now())
            if reason is None:
                rest.append(taken)
            else:
                # What a program or a server says may name a secret, and a dead letter is kept and shown.
                self._bury(taken, reason=hidden(reason), attempts=attempts)
        return rest

    def _settle(self, batch: Sequence[TakenMessage], *, attempts: int, took_s: float) -> None:
        for taken in batch:
            self._outage.insist(partial(self._queue.settle_message, self._sink_id, taken))
            now = self._clock.now()
            self._meters.delivered(taken.message, now=now)
            self._log.info(
                "message_delivered",
                message_id=taken.message.message_id,
                source=taken.message.source_id,
                attempts=attempts,
                ms=round(took_s * 1000, 1),
                age_ms=round((now - taken.message.committed_at) * 1000),
            )

    def _bury(self, taken: TakenMessage, *, reason: str, attempts: int) -> None:
        self._outage.insist(lambda: self._queue.bury_message(self._sink_id, taken, reason=reason))
        self._meters.buried()
        self._log.error(
            "message_buried",
            message_id=taken.message.message_id,
            source=taken.message.source_id,
            attempts=attempts,
            reason=reason,
        )

    def _log_failure(
        self, batch: Sequence[TakenMessage], failure: DeliveryError, *, attempts: int, delay_s: float
    ) -> None:
        self._log.warning(
            "delivery_failed",
            message_id=batch[0].message.message_id,
            source=batch[0].message.source_id,
            attempts=attempts,
            error=str(failure),
            retry_in_s=round(delay_s, 1),
        )

    def _wait(self, delay_s: float) -> None:
        until = self._clock.monotonic() + delay_s
        while not self._stopping() and (left_s := until - self._clock.monotonic()) > 0:
            self._pulse.beat()
            self._lease.renew()
            self._clock.sleep(min(left_s, MAX_SLEEP_S))
