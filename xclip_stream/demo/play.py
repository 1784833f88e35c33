"""The demo: `python -m xclip_stream.demo.play --seed 7` renders a scene, watches it, compares events with the truth.

The scene is watched as a file and, where GStreamer's RTSP server is installed, as a camera. The exit code is 0 only if
every true event was told, and nothing else was.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from xclip_stream.demo.agreement import Agreement, Told, compare
from xclip_stream.demo.render import build_demo, build_recording, write_recording
from xclip_stream.demo.scenes import EVENTLESS, RECORDING
from xclip_stream.demo.script import TruthEvent

VIDEO_VARIABLE = "DEMO_VIDEO"
OUT_VARIABLE = "DEMO_OUT"
SYSTEM_PYTHON = "/usr/bin/python3"
PROGRAM = str(Path(sys.executable).with_name("xclip-stream"))
OUT = Path("demo-out")
RTSP_SERVER = Path(__file__).with_name("rtsp_server.py")
GSTREAMER = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
DASHBOARD = "dashboard: "
"""How the line begins in which a run says where its dashboard is."""
LIMIT_S = 240.0
"""No pass over the short scene takes longer than this."""

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Pass:
    """One way to watch the scene."""

    name: str
    url: str
    exit_code: int
    agreement: Agreement


def main(
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another scene.")] = 7,
    config: Annotated[Path, typer.Option(help="The rules.")] = Path("configs/demo.yaml"),
    out: Annotated[Path, typer.Option(help="Where the scene and the logs go.")] = OUT,
    rtsp: Annotated[bool, typer.Option("--rtsp/--no-rtsp", help="Watch it as a camera too.")] = True,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="A long recording, watched as a file alone.")] = None,
    eventless: Annotated[
        bool, typer.Option("--eventless", help="In the long recording nothing is to be told.")
    ] = False,
) -> None:
    """Render a scene, watch it, and compare the events with the truth."""
    try:
        video, truth = render(out, seed, minutes, eventless=eventless)
    except OSError as error:
        print(f"error: cannot write to {out}: {error}; name another folder with --out", file=sys.stderr)  # noqa: T201
        raise typer.Exit(1) from error
    passes = [watch("file", str(video.resolve()), config, out, truth, limit_s=LIMIT_S + 60 * (minutes or 0))]
    if rtsp and minutes is None and can_serve_rtsp():
        camera = Camera(video)
        passes.append(watch("camera (RTSP)", camera.url, config, out, truth, camera=camera))
    elif rtsp and minutes is None:
        console.print("[yellow]Not watched over RTSP: GStreamer's RTSP server is not installed")
        console.print("(on Debian: gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,bad,ugly})\n")
    exit_code = sum_up(passes)
    console.print(f"\nLook at the events, each with its picture and clip:\n  [cyan]{look_again(config, out)}[/cyan]")
    raise typer.Exit(exit_code)


def render(out: Path, seed: int, minutes: float | None, *, eventless: bool) -> tuple[Path, Sequence[TruthEvent]]:
    """Render what is to be watched; return the file, and what really happens in it."""
    out.mkdir(parents=True, exist_ok=True)
    if minutes is None:
        video = out / f"scene-{seed}.mp4"
        with console.status(f"Rendering scene {seed}…"):
            truth = write_recording(build_demo(seed), video)
        console.print(f"Rendered [bold]{video}[/bold]: {len(truth)} actions. The same again: make demo SEED={seed}\n")
    else:
        video = out / f"recording-{seed}.mp4"
        with console.status(f"Rendering {minutes:g} minutes…"):
            plan = EVENTLESS if eventless else RECORDING
            truth = write_recording(build_recording(seed, minutes * 60, plan=plan), video)
        console.print(f"Rendered [bold]{video}[/bold]: {len(truth)} actions in {minutes:g} minutes.\n")
    return video, truth


def watch(
    name: str,
    url: str,
    config: Path,
    out: Path,
    truth: Sequence[TruthEvent],
    *,
    camera: "Camera | None" = None,
    limit_s: float = LIMIT_S,
) -> Pass:
    """Run the pipeline on `url`, print each event beside the truth as it comes, and compare them all."""
    console.print(f"[bold]Watching as a {name}[/bold]")
    log = out / f"run-{'rtsp' if camera else 'file'}.log"
    told: list[Told] = []
    with log.open("w") as errors, start_run(url, config, out, errors.fileno()) as run:
        guard = threading.Timer(limit_s, run.kill)
        guard.start()
        try:
            if camera is not None:
                threading.Thread(target=play, args=(camera, run, log), daemon=True).start()
            for number, event in enumerate(events_of(run)):
                if number == 0:
                    show_dashboard(log)
                told = show(event, told, truth)
            exit_code = run.wait()
        finally:
            run.terminate()  # of an interrupted demo; one that has ended takes no harm
            run.wait()
            guard.cancel()
    if exit_code:
        console.print(f"[red]the run ended with exit code {exit_code}; see {log}")
    console.print()
    return Pass(name, url, exit_code, compare(truth, told))


def look_again(config: Path, out: Path) -> str:
    """Return the command that serves the dashboard of what was watched last."""
    place = "" if out == OUT else f"{OUT_VARIABLE}={shlex.quote(str(out.resolve()))} "
    program = min(PROGRAM, os.path.relpath(PROGRAM), key=len)
    return f"{place}{program} dashboard {shlex.quote(str(config))}"


def start_run(url: str, config: Path, out: Path, errors: int) -> subprocess.Popen[str]:
    command = [PROGRAM, "run", str(config), "--again"]  # what an interrupted demo has told is told anew
    environ = {**os.environ, VIDEO_VARIABLE: url, OUT_VARIABLE: str(out.resolve())}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environ)


def play(camera: "Camera", run: subprocess.Popen[str], log: Path) -> None:
    """Switch the camera on once the model is loaded, so that it is seen from its first second, and stop the run when it
    has played its scene."""
    while run.poll() is None and "model_loaded" not in log.read_text():
        time.sleep(0.2)
    camera.play(until=lambda: run.poll() is not None)
    run.terminate()  # a job in the background ignores Ctrl-C's signal, not this


def events_of(run: subprocess.Popen[str]) -> Iterator[dict[str, object]]:
    """Yield the `data` of each event that the console sink prints."""
    for line in run.stdout or ():
        if line.startswith("{"):
            yield json.loads(line)["data"]


def show_dashboard(log: Path) -> None:
    """Say where a browser finds the run that writes this log."""
    for line in log.read_text().splitlines():
        if line.startswith(DASHBOARD):
            console.print(f"  [cyan]{line}[/cyan]  (click an event for its clip)")
            return


def show(event: dict[str, object], told: list[Told], truth: Sequence[TruthEvent]) -> list[Told]:
    """Print one event beside the truth; return the events that have started so far."""
    window = event["window"]
    assert isinstance(window, dict)  # noqa: S101 - narrows the JSON; events are tested against their schema
    at_s, rule, phase = float(window["last_pts_s"]), str(event["rule_id"]), str(event["phase"])
    line = f"  {at_s:6.1f} s  {phase:<8} {rule:<6} {float(str(event['peak_score'])):4.2f}  {event['prompt']}"
    if phase == "updated":
        return told
    if phase == "started":
        told = [*told, Told(rule, at_s)]
        match = compare(truth, told).match_of(told[-1])
        truly = f"[green]true: {match.start_s:.1f}-{match.end_s:.1f} s" if match else "[red]not true"
        line = f"{line}  {truly}"
    console.print(line)
    return told


def can_serve_rtsp() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", GSTREAMER], capture_output=True, check=False).returncode == 0


class Camera:
    """A camera on the loopback interface that plays the scene once, to its first viewer."""

    def __init__(self, video: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._video = video
        self.url = f"rtsp://127.0.0.1:{self._port}/live"

    def play(self, *, until: Callable[[], bool]) -> None:
        """Play to the end, or `until` nobody watches any more."""
        command = [SYSTEM_PYTHON, str(RTSP_SERVER), str(self._video), "--once", "--port", str(self._port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not until():
                time.sleep(0.2)
            process.terminate()


def sum_up(passes: Sequence[Pass]) -> int:
    """Print the table of the truth against both passes; return the exit code."""
    table = Table(
        "action",
        "true from",
        "to",
        *(f"{one.name}: told after" for one in passes),
        title="The truth, and what was told",
    )
    for index, event in enumerate(passes[0].agreement.truth):
        delays = [one.agreement.delay_s(index) for one in passes]
        cells = ["[red]missed" if delay is None else f"[green]{delay:.1f} s" for delay in delays]
        table.add_row(event.action, f"{event.start_s:.1f} s", f"{event.end_s:.1f} s", *cells)
    console.print(table)
    for one in passes:
        verdict = "[green]agrees with the truth" if is_right(one) else "[red]does not agree with the truth"
        extra = "".join(f"; false: {told.rule_id} at {told.at_s:.1f} s" for told in one.agreement.false)
        console.print(f"{one.name}: {one.agreement.hits} of {len(one.agreement.truth)} told, {verdict}{extra}")
        console.print(
            f"  precision {one.agreement.precision:.3f}, recall {one.agreement.recall:.3f}{delay(one.agreement)}"
        )
    return 0 if all(is_right(one) for one in passes) else 1


def delay(agreement: Agreement) -> str:
    delays = [agreement.delay_s(index) for index in range(len(agreement.truth))]
    found = [delay_s for delay_s in delays if delay_s is not None]
    return f", told {median(found):.1f} s after the beginning (median)" if found else ""


def is_right(one: Pass) -> bool:
    return one.exit_code == 0 and one.agreement.is_right


if __name__ == "__main__":
    typer.run(main)
