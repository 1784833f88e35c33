"""A device for tests that does its work as late as it may, or at any time between: a stand-in for a GPU's streams.

What is put on a stream runs in order, and after the events that it waits for; everything else is up to chance. So what
is only right because a copy happened to be over in time comes out wrong here. Copies between tensors are put on the
current stream while the device is `on`; all else runs at once.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from xclip_stream.model.cuda_graphs import Compute, Recorded

AT_LAST = 0
"""The seed of the device that does nothing before somebody waits for it."""


class Moment:
    """What an event stands for after it was recorded."""

    def __init__(self) -> None:
        self.over = False


class LazyEvent:
    def __init__(self, device: "LazyDevice") -> None:
        self._device = device
        self.moment: Moment | None = None

    def record(self, stream: "LazyStream") -> None:
        moment = self.moment = Moment()
        stream.put(lambda: setattr(moment, "over", True))

    def synchronize(self) -> None:
        if self._device.heeds_waits and self.moment is not None:
            self._device.work_until(self.moment)


class LazyStream:
    def __init__(self, device: "LazyDevice") -> None:
        self._device = device
        self.waiting: deque[Callable[[], object] | Moment] = deque()

    def put(self, work: Callable[[], object] | Moment) -> None:
        self._device.work_a_little()
        self.waiting.append(work)

    def wait_event(self, event: LazyEvent) -> None:
        if self._device.heeds_waits and event.moment is not None:
            self.put(event.moment)

    @property
    def can_go_on(self) -> bool:
        head = self.waiting[0] if self.waiting else None
        return head is not None and (not isinstance(head, Moment) or head.over)

    def go_on(self) -> None:
        work = self.waiting.popleft()
        if not isinstance(work, Moment):
            work()


class LazyDevice(TorchDispatchMode):
    """Takes the place of `torch.cuda`, as far as it is used; `heeds_waits=False` is one that nobody waits for."""

    def __init__(self, *, seed: int = AT_LAST, heeds_waits: bool = True) -> None:
        super().__init__()
        self.heeds_waits = heeds_waits
        self._random = random.Random(seed) if seed != AT_LAST else None
        self._streams = [LazyStream(self)]
        self._current = self._streams[0]
        self._working = False
        self.recorded: list[Recorded] = []

    def Stream(self) -> LazyStream:  # noqa: N802  # torch's name
        self._streams.append(LazyStream(self))
        return self._streams[-1]

    def Event(self) -> LazyEvent:  # noqa: N802  # torch's name
        return LazyEvent(self)

    def current_stream(self, _device: torch.device | None = None) -> LazyStream:
        return self._current

    @contextmanager
    def stream(self, stream: LazyStream) -> Iterator[None]:
        before, self._current = self._current, stream
        yield
        self._current = before

    def synchronize(self) -> None:
        while any(stream.can_go_on for stream in self._streams):
            self._step()
        assert not any(stream.waiting for stream in self._streams), "a stream waits for what never comes"

    def work_until(self, moment: Moment) -> None:
        while not moment.over:
            self._step()

    def work_a_little(self) -> None:
        while self._random and self._random.random() < 0.5 and any(stream.can_go_on for stream in self._streams):
            self._step()

    def record(self, compute: Compute) -> Recorded:
        """Record like a CUDA graph: the same places at each replay, filled when the stream comes to it."""
        outputs = compute()

        def run() -> None:
            for place, output in zip(outputs, compute(), strict=True):
                place.copy_(output)

        self.recorded.append(Recorded(lambda: self._current.put(run), outputs))
        return self.recorded[-1]

    def _step(self) -> None:
        ready = [stream for stream in self._streams if stream.can_go_on]
        stream = self._random.choice(ready) if self._random else ready[-1]
        self._working = True
        try:
            stream.go_on()
        finally:
            self._working = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.copy_.default and not self._working:
            target, source = args[0], args[1]
            self._current.put(lambda: func(target, source))
            return target
        return func(*args, **(kwargs or {}))
