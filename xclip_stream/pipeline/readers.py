"""The reader processes of one ingest worker."""

import multiprocessing
from collections.abc import Mapping, Sequence
from typing import Generic

from structlog.typing import FilteringBoundLogger

from xclip_stream.meters import ReaderCounts
from xclip_stream.pipeline.reader_process import Order, Outcome, Read, ReaderProcess

_STARTED_AT_ONCE = 16
"""Of hundreds of readers, so many are started between two looks at the rest."""


class Readers(Generic[Order]):
    """Runs a reader for each source; `look_after` is to be called several times a second.

    The processes are forked from a server that has imported `preload`: a reader starts in some hundredths of a second
    and shares the memory of those libraries.

    Args:
        read: what each process does.
        preload: modules that every reader needs.
        log: told when a reader dies.
    """

    def __init__(self, *, read: Read[Order], preload: Sequence[str], log: FilteringBoundLogger) -> None:
        self._read = read
        self._preload = list(preload)
        self._log = log
        self._context = multiprocessing.get_context("forkserver")
        self._readers: dict[str, ReaderProcess[Order]] = {}

    @property
    def names(self) -> Sequence[str]:
        """The sources that have a reader, in the order in which they were added."""
        return list(self._readers)

    def counts(self) -> Mapping[str, ReaderCounts]:
        """Return what each reader has counted. Any thread may ask."""
        return {name: reader.counts for name, reader in self._readers.copy().items()}

    def warm_up(self) -> None:
        """Wait until the server has imported its modules. The first reader would wait for that, and so who adds it."""
        self._context.set_forkserver_preload(self._preload)
        first = self._context.Process(target=_nothing, daemon=True)
        first.start()
        first.join()

    def add(self, name: str, order: Order, *, silence_s: float, max_deaths: int | None = None) -> None:
        """Let a source be read. The arguments are those of `ReaderProcess`."""
        self._readers[name] = ReaderProcess(
            name,
            order,
            self._read,
            context=self._context,
            silence_s=silence_s,
            max_deaths=max_deaths,
            log=self._log,
        )

    def change_order(self, name: str, order: Order) -> None:
        """Tell a reader something else when it is started again."""
        self._readers[name].order = order

    def ask_to_stop(self, name: str) -> None:
        """Let a reader finish what it holds. It is killed when it takes too long."""
        self._readers[name].ask_to_stop()

    def kill(self, name: str) -> None:
        """End a reader at once, without another word about it."""
        self._readers.pop(name).kill()

    def look_after(self) -> dict[str, Outcome | None]:
        """Start, bury and start again what is due, and let go of those that have ended.

        Returns what became of their sources: None of one that was stopped before its end.
        """
        self._context.set_forkserver_preload(self._preload)
        started = 0
        for reader in self._readers.values():
            is_due = reader.is_due
            if is_due and started == _STARTED_AT_ONCE:
                continue
            started += is_due
            reader.look_after()
        ended = {name: reader.outcome for name, reader in self._readers.items() if reader.ended}
        for name in ended:
            del self._readers[name]
        return ended


def _nothing() -> None:
    """What a process does that is only to show that the server forks."""
