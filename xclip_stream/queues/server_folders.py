"""The folders of the embedded Redis: the one that it keeps its data in, and the one of its socket."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from xclip_stream.errors import QueueError

# The path of a unix socket has to fit into 108 bytes, its final zero among them.
_MAX_SOCKET_PATH_BYTES = 100


def socket_path(directory: Path) -> Path:
    """Return the path of the socket: in `directory`, or in a short folder made of its name where that is too long."""
    socket = directory / "redis.sock"
    if len(os.fsencode(socket)) <= _MAX_SOCKET_PATH_BYTES:
        return socket
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(runtime) / f"xclip-stream-{os.getuid()}-{name}" / "redis.sock"


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
