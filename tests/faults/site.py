"""What the storms watch: films whose brightness wanders, a tiny model that sees it, and rules that it fires."""

import random
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import yaml

from tests.faults.system import System
from tests.faults.told import Expected, Told, by_source, jsonl_events, public_events, read_told
from tests.redis_servers import RedisServer
from tests.servers import Endpoint, http_endpoint
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.videos import write_video
from xclip_stream.types import Pixels

FPS = 10
SPAN_S = 0.4
STRIDE_S = 0.1
"""So a film gives ten windows a second."""
ORACLE_WITHIN_S = 240.0
"""At least; long films have half of the time that they play."""
SINKS = ("archive", "ops")


@dataclass(frozen=True, slots=True)
class Films:
    """Some films; the same values give the same films, and so the same events.

    Args:
        white_windows: so many windows of each film are white, each in a bright stretch, where it changes no event.
    """

    number: int
    seconds: float
    seed: int
    white_windows: int = 0

    @property
    def ids(self) -> list[str]:
        return [f"film-{number}" for number in range(self.number)]


@dataclass(frozen=True, slots=True)
class Site:
    """A configuration on the disk, and where its JSONL sink writes."""

    films: Films
    config: Path
    archive: Path


class Receiver:
    """The other end of the webhook sink."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._endpoint: Endpoint | None = None

    def __enter__(self) -> Self:
        self._endpoint = self._stack.enter_context(http_endpoint())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def endpoint(self) -> Endpoint:
        assert self._endpoint is not None
        return self._endpoint

    @property
    def url(self) -> str:
        return self.endpoint.url

    @property
    def told(self) -> list[Told]:
        return [read_told(request.body) for request in list(self.endpoint.requests)]


def write_site(
    films: Films,
    folder: Path,
    *,
    webhook_url: str,
    realtime: bool = True,
    model: Mapping[str, Any] | None = None,
    queue: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
    more_sources: Sequence[Mapping[str, Any]] = (),
) -> Site:
    """Write a configuration for these films; `model` … `more_sources` are added as YAML would say them."""
    parts = _parts(films)
    window = {"span_s": SPAN_S, "stride_s": STRIDE_S}
    sources = [
        {"id": name, "url": str(parts / f"{name}.mp4"), "window": window, "realtime": realtime} for name in films.ids
    ]
    retry = {"first_delay_s": 0.2, "max_delay_s": 2}
    document = {
        "model": {"checkpoint": str(parts / "model"), "threads": 1, "device": "cpu", **(model or {})},
        "queue": dict(queue or {}),
        **({} if evidence is None else {"evidence": dict(evidence)}),
        "sources": [*sources, *({"window": window, **source} for source in more_sources)],
        "rules": _rules(),
        "sinks": [
            {"id": "archive", "type": "jsonl", "path": "./events.jsonl", **retry},
            {"id": "ops", "type": "webhook", "url": webhook_url, "timeout_s": 3, **retry},
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "site.yaml"
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    return Site(films, config, folder / "events.jsonl")


@cache
def oracle(films: Films) -> Expected:
    """Return what these films have to tell: what a system tells to which nothing happens."""
    folder = _scratch() / f"oracle-{films.number}-{films.seconds:g}-{films.seed}-{films.white_windows}"
    with RedisServer("7", "--appendonly", "no") as server, Receiver() as receiver:
        site = write_site(films, folder, webhook_url=receiver.url, realtime=False)
        workers = dict.fromkeys(("ingest", "score", "alert", "deliver"), 1)
        with System(site.config, redis_url=server.url, workers=workers, folder=folder) as system:
            within_s = max(ORACLE_WITHIN_S, films.number * films.seconds / 2)
            assert system.wait_until_drained(within_s), f"the oracle has not come to its end; see {folder}"
            told = public_events(system.queue)
        expected = by_source(told)
        assert not system.crashes, f"a worker of the oracle ended: {system.crashes}; see {folder}"
        assert by_source(jsonl_events(site.archive)) == expected, "the JSONL sink of the oracle differs"
        assert by_source(receiver.told) == expected, "the webhook of the oracle differs"
    return expected


def film_path(films: Films, number: int) -> Path:
    """Return the file of one of the films."""
    return _parts(films) / f"{films.ids[number]}.mp4"


def _rules() -> list[dict[str, Any]]:
    """Two rules on one score, one of them with all that a rule has to remember."""
    prompts = {"prompts": ["a person running"], "background": ["an empty yard"]}
    return [
        {"id": "quick", **prompts, "enter": 0.97, "exit": 0.93},
        {"id": "steady", **prompts, "enter": 0.9, "exit": 0.85, "min_duration_s": 0.3, "cooldown_s": 1},
    ]


@cache
def _parts(films: Films) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="films-", dir=_scratch()))
    write_tiny_checkpoint(folder / "model", num_frames=4)
    for number, name in enumerate(films.ids):
        pictures = wandering(random.Random(1000 * films.seed + number), films.seconds)
        for part in range(films.white_windows):
            middle = round((part + 0.5) * len(pictures) / films.white_windows)
            pictures[middle:middle] = _white_window()
        times = [index / FPS for index in range(len(pictures))]
        write_video(folder / f"{name}.mp4", times, size=(64, 48), pictures=pictures)
    return folder


def wandering(chance: random.Random, seconds: float, *, size: tuple[int, int] = (64, 48)) -> list[Pixels]:
    """Return pictures that grow dark and bright at random: what the rules fire on is dark."""
    wanted = round(seconds * FPS)
    levels = list[float]()
    level = 190.0
    while len(levels) < wanted:
        goal = chance.choice((30.0, 60.0, 120.0, 150.0, 200.0))
        steps = chance.randint(2, 12)
        levels += [level + (goal - level) * step / steps for step in range(1, steps + 1)]
        level = goal
        levels += [level] * chance.randint(0, 15)
    return [np.full((size[1], size[0], 3), round(level), np.uint8) for level in levels[:wanted]]


def _white_window() -> list[Pixels]:
    """Return pictures of which four in a row, which are one window, are white, and the others bright."""
    levels = [200] * 15 + [255] * 4 + [200] * 15
    return [np.full((48, 64, 3), level, np.uint8) for level in levels]


@dataclass(slots=True)
class _Scratch:
    """A folder for what several storms share; it goes with the process."""

    folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="storm-parts-")
    )


@cache
def _scratch_folder() -> _Scratch:
    return _Scratch()


def _scratch() -> Path:
    return Path(_scratch_folder().folder.name)
