"""One Redis server as the queue sees it: its keys, its scripts, and its errors in our words."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from redis.commands.core import Script
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from xclip_stream.errors import QueueError, QueueUnavailable
from xclip_stream.queues.limits import DEFAULT_MAX_BYTES
from xclip_stream.queues.redis_client import open_client
from xclip_stream.redaction import redact_text, redact_url

MAX_BLOCK_S = 2.0
"""The longest wait inside the server; a reply that is much later means that the server is gone."""
_REPLY_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 3.0
Argument = str | bytes | int | float | memoryview


class ServerFull(QueueUnavailable):
    """The server has reached its `maxmemory`."""


class NoGroup(QueueError):
    """The stream or its consumer group is not there: the server is new, or came back empty."""


# The client knows some answers by class and takes their first word away. Others come as text: those that it does not
# know, and on Redis 6 those that a script stumbled over.
_TROUBLES: Sequence[tuple[str, type[RedisError] | tuple[type[RedisError], ...], type[QueueError], str]] = (
    ("OOM ", OutOfMemoryError, ServerFull, "is full"),
    ("The user executing the script", (), QueueError, "refuses this user"),
    ("NOGROUP", (), NoGroup, "has no such consumer group"),
    ("no such key", (), NoGroup, "has lost a stream"),
    ("READONLY", ReadOnlyError, QueueUnavailable, "is a replica now"),
    ("UNBLOCKED", (), QueueUnavailable, "has sent a waiting client away"),
    ("MASTERDOWN", MasterDownError, QueueUnavailable, "has lost its master"),
    ("CLUSTERDOWN", (ClusterDownError, TryAgainError), QueueUnavailable, "is not a whole cluster now"),
    ("MOVED", AskError, QueueUnavailable, "has given the queue to another node"),
    ("NOSCRIPT", NoScriptError, QueueUnavailable, "has forgotten a script again"),
    ("MISCONF", (), QueueUnavailable, "cannot write to its disk"),
    ("NOREPLICAS", (), QueueUnavailable, "misses its replicas"),
    ("BUSY ", (), QueueUnavailable, "is busy with a script"),
)


class RedisKeys:
    """The names of all keys. They share one hash tag, so that a script may touch any of them in a cluster."""

    def __init__(self, namespace: str) -> None:
        self._prefix = f"xclip:{{{namespace}}}:"
        self.live_windows = self.of("windows:live")
        self.file_windows = self.of("windows:file")
        self.scores = self.of("scores")
        self.events = self.of("events")
        self.dead = self.of("dead")
        self.state = self.of("state")
        self.alert = self.of("alert")
        self.rulebooks = self.of("rulebooks")
        self.counters = self.of("counters")
        self.known = self.of("known")
        """The names of the leases and outboxes that there are or were, so that who looks need not search for them."""
        self.ingest_team = self.of("ingest")
        self.source_statuses = self.of("status:ingest")
        self.rule_statuses = self.of("status:rules")

    def of(self, name: str) -> str:
        return self._prefix + name

    def name(self, key: str) -> str:
        """Return what `of` made this key of."""
        return key.removeprefix(self._prefix)

    def windows(self, *, live: bool) -> str:
        return self.live_windows if live else self.file_windows

    def source(self, source_id: str) -> str:
        return self.of(f"source:{source_id}")

    def lease(self, role: str) -> str:
        return self.of(f"lease:{role}")

    def history(self, source_id: str) -> str:
        return self.of(f"history:{source_id}")

    def layout(self, digest: str) -> str:
        return self.of(f"layout:{digest}")

    def outbox(self, sink_id: str) -> str:
        return self.of(f"outbox:{sink_id}")

    def deliveries(self, sink_id: str) -> str:
        return self.of(f"deliveries:{sink_id}")

    def evidence_wanted(self, source_id: str) -> str:
        return self.of(f"evidence:wanted:{source_id}")

    def evidence_judged(self, source_id: str) -> str:
        return self.of(f"evidence:judged:{source_id}")

    def evidence_made(self, event_id: str) -> str:
        return self.of(f"evidence:made:{event_id}")

    def looked_at(self, source_id: str) -> str:
        return self.of(f"looked_at:{source_id}")

    def picture(self, source_id: str) -> str:
        return self.of(f"picture:{source_id}")

    def rescore(self, source_id: str) -> str:
        return self.of(f"rescore:{source_id}")

    def published(self, consumer: str) -> str:
        return self.of(f"published:{consumer}")


class RedisConnection:
    """A pool of connections to one server, for any number of threads.

    Where Sentinels or a cluster decide which server that is, each new connection goes to the one that they name.
    Nothing is tried twice here: the client cannot know which step may be repeated. The loops repeat the steps of the
    queue, which are made for it.

    Args:
        key: any key of the queue. In a cluster its slot tells the node.

    Raises:
        ConfigError: `url` is not one of a Redis, or names a file that cannot be used.
    """

    def __init__(self, url: str, *, key: str) -> None:
        self._name = redact_url(url.partition("?")[0])
        self.connects = 0
        """How many connections were made. The pool replaces one that has ended without saying so: a greater number
        may mean that the server was started again, and came back older than it was."""
        self._client = open_client(
            url, key=key, connect_timeout_s=_CONNECT_TIMEOUT_S, reply_timeout_s=_REPLY_TIMEOUT_S, greet=self._greet
        )
        self._max_memory_bytes: int | None = None
        self._scripts: dict[str, Script] = {}

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Run one of the scripts beside this file and return its reply.

        Raises:
            QueueUnavailable: the step may be tried again.
            QueueError: it may not.
        """
        registered = self._scripts.get(script) or self._scripts.setdefault(
            script, self._client.register_script(_script_text(script))
        )
        with self._errors_translated():
            return registered(keys=keys, args=arguments)

    def call(self, command: str, *arguments: Argument) -> Any:
        """Run one command and return its reply as the client shapes it. It raises what `run` raises."""
        with self._errors_translated():
            return self._client.execute_command(command, *arguments)  # type: ignore[no-untyped-call]  # the client's

    def window_room_bytes(self, wanted: int | None) -> int:
        """Return the cap on the pixels in the queue: what is wanted, but never more than half of the server's memory.

        The other half is for the rest: copies on their way, scores, outboxes, dead letters.
        """
        if self._max_memory_bytes is None:
            info = self.call("INFO", "memory")
            self._max_memory_bytes = int(info.get("maxmemory", 0))
        if self._max_memory_bytes == 0:
            return DEFAULT_MAX_BYTES if wanted is None else wanted
        return self._max_memory_bytes // 3 if wanted is None else min(wanted, self._max_memory_bytes // 2)

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            translated = self._translated(error)
            if type(translated) is QueueUnavailable:
                # Who is behind them may not be the master any more, and does not say so to those who only read.
                self._client.connection_pool.disconnect(inuse_connections=False)
            raise translated from None  # it says what the client's own chain of errors says
        except BaseException:
            # An interrupt, perhaps between a command and its reply, which the next command must not be given.
            self._client.connection_pool.disconnect(inuse_connections=False)
            raise

    def _greet(self, connection: Any) -> None:  # the client has several kinds
        self.connects += 1
        self._max_memory_bytes = None  # it may be another server
        connection.on_connect()

    def _translated(self, error: RedisError) -> QueueError:
        reason = redact_text(str(error).partition("\n")[0]) or type(error).__name__
        if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
            return QueueError(f"Redis at {self._name} refuses this user: {reason}")
        if isinstance(error, RedisConnectionError | RedisTimeoutError):
            return QueueUnavailable(f"Redis at {self._name} does not answer: {reason}")
        for word, known_as, kind, trouble in _TROUBLES:
            if isinstance(error, known_as) or word in reason:
                return kind(f"Redis at {self._name} {trouble}: {reason}")
        return QueueError(f"Redis at {self._name} refused a step: {reason}")


@cache
def _script_text(name: str) -> str:
    folder = Path(__file__).parent
    return (folder / "functions.lua").read_text() + (folder / f"{name}.lua").read_text()
