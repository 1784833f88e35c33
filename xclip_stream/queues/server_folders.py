"""The folders of the embedded Redis: the one that it keeps its data in, and the one of its socket."""

import fcntl
import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from xclip_stream.errors import QueueError

# The path of a unix socket has to fit into 108 bytes, its final zero among them.
_MAX_SOCKET_PATH_BYTES = 100
_LOCK = "redis.lock"
_SOCKET = "redis.sock"
_LINK = "lock"
"""In a folder for a socket alone: leads to the lock of the folder with the data."""


def socket_path(directory: Path) -> Path:
    """Return the path of the socket: in `directory`, or in a short folder made of its name where that is too long."""
    socket = directory / _SOCKET
    if len(os.fsencode(socket)) <= _MAX_SOCKET_PATH_BYTES:
        return socket
    return _runtime() / _folder_name(directory) / _SOCKET


def open_lock(directory: Path) -> int:
    """Return a descriptor of the file that a server holds locked for as long as it works in `directory`."""
    return os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(lock: int) -> bool:
    """Take the lock; False when somebody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def make_socket_folder(socket: Path, directory: Path) -> None:
    """Make the folder of a socket where it is not that of the data.

    Raises:
        QueueError: it cannot be made, or it is not ours.
    """
    if socket.parent == directory:
        return
    make_private_folder(socket.parent)
    with suppress(FileExistsError):
        (socket.parent / _LINK).symlink_to(directory / _LOCK)


def remove_abandoned_folders() -> None:
    """Remove the folders of sockets whose servers are dead, as those of a killed run are."""
    for folder in _runtime().glob(f"{_prefix()}*"):
        if (folder / _LINK).is_symlink():
            with suppress(OSError):
                _remove_if_dead(folder / _SOCKET)


def remove_socket_folder(socket: Path) -> None:
    """Remove the folder of a socket; to be called by whoever holds the lock."""
    socket.unlink(missing_ok=True)
    (socket.parent / _LINK).unlink(missing_ok=True)
    socket.parent.rmdir()


def _remove_if_dead(socket: Path) -> None:
    if socket.parent.lstat().st_uid != os.getuid():
        return
    try:
        lock = os.open(socket.parent / _LINK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # its data are gone
        remove_socket_folder(socket)
        return
    try:
        if try_lock(lock):
            remove_socket_folder(socket)
    finally:
        os.close(lock)


def _runtime() -> Path:
    """Return where folders for sockets are made: the first usual place whose own path is short enough for one in it."""
    places = [Path(place) for place in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()) if place]
    inside = Path(_folder_name(Path("/"))) / _SOCKET  # as long as any
    fitting = (place for place in places if len(os.fsencode(place / inside)) <= _MAX_SOCKET_PATH_BYTES)
    return next(fitting, Path("/tmp"))  # noqa: S108 - the folder made in it is refused where others can enter it


def _folder_name(directory: Path) -> str:
    return _prefix() + hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]


def _prefix() -> str:
    return f"xclip-stream-{os.getuid()}-"


def make_folder(directory: Path) -> None:
    """Make a folder for this user alone; one that is there keeps its mode.

    Raises:
        QueueError: it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise QueueError(f"the folder {directory} of the embedded Redis cannot be made: {error.strerror}") from error


def make_private_folder(directory: Path) -> None:
    """Make a folder in a place where everybody may; refuse one that somebody else has made or can enter.

    Raises:
        QueueError: it cannot be made, or it is not ours.
    """
    make_folder(directory)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise QueueError(f"the folder {directory} of the embedded Redis is open to other users: remove it")
