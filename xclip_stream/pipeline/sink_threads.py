"""A thread for each sink, so that a dead one delays no other, started and stopped as the configuration changes."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger

from xclip_stream.pipeline.lifecycle import StopFlag


class Plan(Protocol):
    """What one sink is to be; two that are equal are the same."""

    @property
    def id(self) -> str: ...


P = TypeVar("P", bound=Plan)


class SinkThread(threading.Thread, Generic[P]):
    """Delivers for one sink until it is asked to stop, and keeps the error that it ended with."""

    def __init__(self, sink: P, work: Callable[[StopFlag], None]) -> None:
        # A daemon: a sink that hangs must not keep the process alive after the grace.
        super().__init__(name=f"deliver-{sink.id}", daemon=True)
        self._work = work
        self.sink = sink
        self.stop = StopFlag()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self._work(self.stop)
        # The top of the thread: the main thread raises it, and so ends the process with its reason.
        except Exception as error:  # noqa: BLE001 - see above
            self.failure = error


class SinkThreads(Generic[P]):
    """A thread for each sink of the configuration, as it is now.

    Args:
        work: delivers for a sink until the flag is set; called in the sink's thread.
    """

    def __init__(self, work: Callable[[P, StopFlag], None], *, log: FilteringBoundLogger) -> None:
        self._work = work
        self._log = log
        self._threads: dict[str, SinkThread[P]] = {}

    def follow(self, sinks: Sequence[P]) -> None:
        """Start what is wanted and does not run, and ask to stop what is not wanted so any more; to be called often.

        A thread is replaced only when it has ended: one that hangs in its sink shall not become two.

        Raises:
            Exception: what ended the work for a sink.
        """
        wanted = {sink.id: sink for sink in sinks}
        for sink_id, thread in list(self._threads.items()):
            if thread.failure is not None:
                raise thread.failure
            if thread.sink != wanted.get(sink_id) and not thread.stop.is_set():
                self._log.info("sink_changed" if sink_id in wanted else "sink_removed", sink=sink_id)
                thread.stop.set()
            if not thread.is_alive():
                del self._threads[sink_id]
        for sink_id, sink in wanted.items():
            if sink_id not in self._threads:
                self._threads[sink_id] = SinkThread(sink, partial(self._work, sink))
                self._threads[sink_id].start()

    def leave(self, *, grace_s: float) -> None:
        """Ask all to stop, and wait for deliveries in hand, but not for ever."""
        for thread in self._threads.values():
            thread.stop.set()
        end = time.monotonic() + grace_s
        for thread in self._threads.values():
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                self._log.warning("delivery_left_unfinished", thread=thread.name)
