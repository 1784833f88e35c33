"""Events to a file, one JSON object a line."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from xclip_stream.errors import DeliveryError
from xclip_stream.types import Message

TAIL_BYTES = 1024 * 1024
"""How far back a file is searched for messages that come again: about a thousand events."""

REMEMBERED_IDS = 10_000


class JsonlSink:
    """Appends each event to `path` and returns when it is on the disk.

    The file is opened for each message, so that it may be rotated, moved or deleted at any time. What another process
    or a crash left in it is looked at before the next write: a torn last line is repaired, and a message that stands
    in the last megabyte already is not written again.
    """

    def __init__(self, *, path: str | Path) -> None:
        self._path = Path(path)
        self._written: dict[str, None] = {}
        self._left_at = (0, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def deliver(self, message: Message) -> None:
        try:
            with self._opened() as file:
                self._look_at_changes(file)
                if message.message_id not in self._written:
                    self._append(file, message.body)
                    self._remember(message.message_id)
                self._left_at = _state(file)
        except OSError as error:
            raise DeliveryError(f"jsonl {self._path}: {error.strerror or error}") from None

    @contextmanager
    def _opened(self) -> Iterator[int]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # A worker that was frozen and woken may write beside its successor: one at a time.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
        finally:
            # To close is not enough: a program that another sink is just starting has the file too, until it runs.
            fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)

    def _look_at_changes(self, file: int) -> None:
        if _state(file) != self._left_at:
            _repair(file)
            os.fsync(file)
            self._written = dict.fromkeys(_ids(_tail(file)))

    def _append(self, file: int, body: bytes) -> None:
        end = os.fstat(file).st_size
        try:
            _write_all(file, body + b"\n")
            os.fsync(file)
        except OSError:
            # A full disk takes half a line. A line that is not known to be safe is written again, so it must go.
            os.ftruncate(file, end)
            raise
        if end == 0:
            _sync_folder(self._path.parent)

    def _remember(self, message_id: str) -> None:
        self._written[message_id] = None
        if len(self._written) > REMEMBERED_IDS:
            del self._written[next(iter(self._written))]


def _state(file: int) -> tuple[int, int]:
    """Return what tells whether anybody else wrote: the file's number, and its size."""
    status = os.fstat(file)
    return status.st_ino, status.st_size


def _tail(file: int) -> bytes:
    start = max(0, os.fstat(file).st_size - TAIL_BYTES)
    return os.pread(file, TAIL_BYTES, start)


def _repair(file: int) -> None:
    """End a file in a newline: complete a last line that lacks only that, cut off one that a crash tore."""
    tail = _tail(file)
    if not tail or tail.endswith(b"\n"):
        return
    torn = tail[tail.rfind(b"\n") + 1 :]
    # After a power failure a file may end in zeros. Text that was never ours is kept.
    ours = torn.lstrip(b"\0")[:1] in {b"", b"{"}
    if ours and _id_of(torn) is None:
        os.ftruncate(file, os.fstat(file).st_size - len(torn))
    else:
        _write_all(file, b"\n")


def _ids(tail: bytes) -> Iterator[str]:
    for line in tail.split(b"\n"):
        message_id = _id_of(line)
        if message_id is not None:
            yield message_id


def _id_of(line: bytes) -> str | None:
    """Return the CloudEvents id of a line, which is the message id; None when it is no event."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return str(event["id"]) if isinstance(event, dict) and "id" in event else None


def _write_all(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file as safe as its content."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
