"""What the reader processes of a test do. A module of its own, so that they can import it."""

import os
import signal
from pathlib import Path

from xclip_stream.errors import XclipStreamError
from xclip_stream.pipeline.lifecycle import StopFlag
from xclip_stream.pipeline.readers import STOPPED, Heart, Outcome


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
        case "reject":
            return Outcome.REJECTED
    return Outcome.DONE
