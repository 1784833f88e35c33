"""The folder of one run among the temporary files: gone with the run, or with the next one where it was killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from xclip_stream.errors import ConfigError

_PREFIX = "xclip-stream-"
_IN_USE = "in-use"
"""The name of the file that a run holds locked for as long as it lives."""

_MAX_PLACE_BYTES = 50
"""Sockets stand in it and in a folder of it, and the path of a socket has to fit into 108 bytes."""


@contextmanager
def run_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder for this user alone, and remove those of runs that were killed.

    Args:
        parent: where to make it; None for the usual place, or /tmp where the name of that is too long.

    Raises:
        ConfigError: it cannot be made.
    """
    with ExitStack() as stack:
        try:
            parent = parent or _usual_place()
            _remove_abandoned(parent)
            made = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
            stack.callback(os.close, _lock(folder))
        except OSError as error:
            raise ConfigError(f"there is no place for temporary files: {error}; name one in TMPDIR") from error
        yield folder


def _usual_place() -> Path:
    usual = tempfile.gettempdir()
    return Path(usual if len(os.fsencode(usual)) <= _MAX_PLACE_BYTES else "/tmp")  # noqa: S108 - mkdtemp


def _lock(folder: Path) -> int:
    """Return the descriptor that holds the lock. The file gets its name afterwards: nobody sees it unlocked."""
    unseen = folder / "new"
    lock = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unseen.rename(folder / _IN_USE)
    return lock


def _remove_abandoned(parent: Path) -> None:
    for mark in parent.glob(f"{_PREFIX}*/{_IN_USE}"):
        with suppress(OSError):
            if mark.parent.lstat().st_uid == os.getuid() and _is_abandoned(mark):
                shutil.rmtree(mark.parent, ignore_errors=True)


def _is_abandoned(mark: Path) -> bool:
    """True when the lock is free: the kernel has let go of it, so its holder is dead."""
    lock = os.open(mark, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
