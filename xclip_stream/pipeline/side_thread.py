"""A thread that runs beside the loop of a process, for as long as that is inside its `with` block."""

import threading
from types import TracebackType
from typing import Self


class SideThread:
    """Calls `run` in a thread while this is entered; a subclass says there what is done, until `over` is set.

    Args:
        waits: leaving waits for the thread. One that may hang in a call is left to itself: it ends with the process.
    """

    def __init__(self, name: str, *, waits: bool) -> None:
        self.over = threading.Event()
        self._waits = waits
        self._thread = threading.Thread(target=self.run, name=name, daemon=not waits)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        if self._waits:
            self._thread.join()

    def run(self) -> None:
        raise NotImplementedError
