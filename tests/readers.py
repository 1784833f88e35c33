"""What the reader processes of a test do. A module of its own, so that they can import it."""

import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from xclip_stream.errors import XclipStreamError
from xclip_stream.pipeline.lifecycle import StopFlag
from xclip_stream.pipeline.reader_process import STOPPED, Heart, Outcome


def act(order: tuple[str, Path], heart: Heart, stop: StopFlag) -> int:
    """Do what the order says, and write down that it began, with the epoch."""
    what, diary = order
    with diary.open("a") as file:
        file.write(f"{os.getpid()} {heart.epoch_number.value}\n")
    lives = len(diary.read_text().splitlines())
    heart.beat()
    heart.epoch_number.value += 1
    match what:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "crash once" if lives == 1:
            raise XclipStreamError("once")
        case "hang once" if lives == 1:
            signal.pause()
        case "ignore the stop":
            while True:
                heart.beat()
                stop.wait(None) if not stop.is_set() else signal.pause()
        case "read on":
            while not stop.wait(0.05):
                heart.beat()
            return STOPPED
        case "be taken over once" if lives == 1:
            return Outcome.TAKEN_OVER
        case "be taken over once":
            return act(("read on", diary), heart, stop)
        case "reject":
            return Outcome.REJECTED
    return Outcome.DONE


@dataclass(frozen=True)
class Told:
    """An order that knows its lease."""

    what: str
    diary: Path
    token: int = field(default=0, compare=False)

    def under(self, token: int) -> Self:
        return replace(self, token=token)

    @property
    def tokens(self) -> list[int]:
        """The token of each life that followed this order."""
        path = self._token_file()
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def note_token(self) -> None:
        with self._token_file().open("a") as file:
            file.write(f"{self.token}\n")

    def _token_file(self) -> Path:
        return self.diary.with_name(self.diary.name + " tokens")


def act_as_told(order: Told, heart: Heart, stop: StopFlag) -> int:
    order.note_token()
    return act((order.what, order.diary), heart, stop)
