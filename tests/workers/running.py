"""A worker that runs in a thread while a test watches it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

from prometheus_client import CollectorRegistry

from workers.main import RunWorker
from xclip_stream.config import Config, ConfigWatch
from xclip_stream.pipeline.vitals import Vitals


def unwatched(config: Config) -> ConfigWatch:
    """Return the watch of a configuration that never changes."""
    return ConfigWatch(Path("nowhere.yaml"), config, look_every_s=inf)


@contextmanager
def running(
    run: RunWorker,
    config: Config,
    redis_url: str,
    *,
    watch: ConfigWatch | None = None,
    registry: CollectorRegistry | None = None,
) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Run the worker and give a function that waits until something holds."""
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        try:
            run(
                config,
                stop=stop,
                redis_url=redis_url,
                watch=watch or unwatched(config),
                vitals=Vitals(),
                registry=registry,
            )
        finally:
            ended.set()

    def until(holds: Callable[[], bool]) -> None:
        while not holds():
            assert not ended.wait(0.01), "the worker ended"

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield until
    finally:
        stop.set()
        thread.join()
