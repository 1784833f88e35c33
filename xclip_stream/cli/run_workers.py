"""The workers of a run, as its supervisor starts them."""

import sys
from collections.abc import Callable
from pathlib import Path

from xclip_stream.cli.run_dashboard import RunDashboard
from xclip_stream.pipeline.children import WorkerSpec
from xclip_stream.protocols import QueueDepths


def worker_specs(
    config_path: Path,
    *,
    folder: Path,
    log_level: str,
    scored: Callable[[], int],
    shown: RunDashboard | None,
) -> list[WorkerSpec]:
    """Return the four workers in the order in which the work flows, and the dashboard where it is wanted.

    Args:
        folder: for what they leave when they are killed; it is the run's own.
        scored: how many windows the score worker has dealt with.
        shown: the dashboard, which asks each of them for its metrics.
    """

    def spec(
        name: str,
        is_idle: Callable[[QueueDepths], bool],
        done: Callable[[], int] = lambda: 0,
        vital: bool = True,
        environ: tuple[tuple[str, str], ...] = (),
    ) -> WorkerSpec:
        options = ("--config", str(config_path), "--log-level", log_level, *(shown.options_of(name) if shown else ()))
        # Without -P Python would take its modules from the folder of the user first: a redis.py there, say.
        command = (sys.executable, "-P", "-m", f"workers.{name}", *options)
        return WorkerSpec(name, command, is_idle, done, vital, environ=environ)

    dashboard = [spec("web", lambda _depths: True, vital=False)] if shown else []
    return [
        # Its readers come from a server of processes, with a socket among the temporary files.
        spec("ingest", lambda _depths: True, environ=(("TMPDIR", str(folder)),)),
        spec("score", lambda depths: depths.windows == 0, done=scored),
        spec("alert", lambda depths: depths.scores == 0),
        spec("deliver", lambda depths: not any(depths.outbox.values())),
        *dashboard,
    ]
