"""Whoever changes the configuration of a running system, and what the system tells meanwhile."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from xclip_stream.config import load_config
from xclip_stream.queues.redis import RedisQueue

Break = Callable[[str], str | None]
"""Makes a configuration wrong; None removes the file."""


@dataclass(frozen=True, slots=True)
class Change:
    """A right file that was put in place: when, Unix seconds, and its hash."""

    at: float
    config_hash: str


class Editor:
    """Changes a configuration file, by turns in place and by putting another in its place, as people and tools do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._document: dict[str, Any] = yaml.safe_load(path.read_text())
        self.changes: list[Change] = []

    def entry(self, section: str, entry_id: str) -> dict[str, Any]:
        """Return the entry of `sources`, `rules` or `sinks` with this id."""
        return next(dict(entry) for entry in self._document[section] if entry["id"] == entry_id)

    def change(self, section: str, entries: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Add these entries, or replace those with their ids; None removes one."""
        kept = {entry["id"]: entry for entry in self._document[section]}
        kept.update(entries)
        self._document[section] = [dict(entry) for entry in kept.values() if entry is not None]
        text = yaml.safe_dump(self._document, sort_keys=False)
        at = time.time()
        if len(self.changes) % 2:
            self._path.write_text(text)
        else:
            beside = self._path.with_suffix(".new")
            beside.write_text(text)
            beside.replace(self._path)
        self.changes.append(Change(at, load_config(self._path).config_hash))

    @contextmanager
    def broken(self, make_wrong: Break) -> Iterator[None]:
        """Have a wrong file there for as long as this lasts."""
        right = self._path.read_text()
        wrong = make_wrong(right)
        if wrong is None:
            self._path.unlink()
        else:
            self._path.write_text(wrong)
        try:
            yield
        finally:
            self._path.write_text(right)


class PublicStream:
    """The public events as a consumer reads them who keeps all of them."""

    def __init__(self, queue: RedisQueue) -> None:
        self._queue = queue
        self._after_id = "0"
        self._events: list[dict[str, Any]] = []

    def look(self) -> list[dict[str, Any]]:
        """Return the data of all events so far."""
        while entries := self._queue.read_events(after_id=self._after_id, max_count=1000, block_s=0.0):
            self._events += [json.loads(body)["data"] for _, body in entries]
            self._after_id = entries[-1][0]
        return self._events
