"""One answer for all who ask at about the same time, so that many open pages cost Redis no more than one."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from xclip_stream.errors import XclipStreamError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Answer(Generic[Value]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    good_until: float = float("-inf")
    value: Value | None = None
    error: XclipStreamError | None = None


class Shared(Generic[Key, Value]):
    """Asks `ask` once for each key, however many threads want to know, and again when the answer has aged.

    An error is an answer too: while Redis hangs, one thread waits for it and not all of them.

    Args:
        for_s: how long an answer is good.
        max_keys: so many answers are kept.
        now: seconds from an arbitrary start, never going back.
    """

    def __init__(
        self,
        ask: Callable[[Key], Value],
        *,
        for_s: float,
        max_keys: int = 64,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._for_s = for_s
        self._max_keys = max_keys
        self._now = now
        self._lock = threading.Lock()
        self._answers: OrderedDict[Key, _Answer[Value]] = OrderedDict()

    def __call__(self, key: Key) -> Value:
        """Return the answer for `key`, or raise its error."""
        answer = self._answer(key)
        with answer.lock:
            if self._now() >= answer.good_until:
                self._renew(key, answer)
            if answer.error is not None:
                raise answer.error
            return answer.value  # type: ignore[return-value]  # renewed without an error

    def forget(self) -> None:
        """Ask again, whoever comes next."""
        with self._lock:
            self._answers.clear()

    def _answer(self, key: Key) -> _Answer[Value]:
        with self._lock:
            answer = self._answers.setdefault(key, _Answer())
            self._answers.move_to_end(key)
            while len(self._answers) > self._max_keys:
                self._answers.popitem(last=False)
            return answer

    def _renew(self, key: Key, answer: _Answer[Value]) -> None:
        try:
            answer.value, answer.error = self._ask(key), None
        except XclipStreamError as error:
            answer.error = error
        answer.good_until = self._now() + self._for_s
