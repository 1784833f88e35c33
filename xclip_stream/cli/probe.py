"""`xclip-stream probe`: open a camera, file or device as the readers do, and say what it is like."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from xclip_stream.cli.output import emit, table_console
from xclip_stream.cli.probe_advice import advice
from xclip_stream.cli.probe_report import plain_probe, probe_table
from xclip_stream.cli.terminal_picture import print_picture
from xclip_stream.errors import ConfigError, XclipStreamError
from xclip_stream.exits import DONE, FAILED, print_error

_PICTURES = {".jpg", ".jpeg", ".png"}


class Transport(StrEnum):
    """How RTSP sends its packets."""

    TCP = "tcp"
    UDP = "udp"


def probe(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A camera's URL, a video file, or a device such as /dev/video0."),
    ],
    seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.5, max=600, help="How long to look, after the first frame.")
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    snapshot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the last picture there, as .jpg or .png.")
    ] = None,
    transport: Annotated[Transport, typer.Option(help="Of RTSP.")] = Transport.TCP,
    open_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=600, help="How long connecting may take.")
    ] = 10.0,
    read_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=600, help="How long a camera may be silent.")
    ] = 5.0,
) -> None:
    """Test a source: what it is, how steadily it comes, and what should be changed in the camera.

    It is opened as a running system opens it, so what fails here fails there, with the same words. On a terminal it
    shows a picture. User, password and query of a URL are never shown. Exit code 1 when it cannot be read, or breaks
    off while it is looked at.

    [bold]Examples[/bold]

      xclip-stream probe rtsp://user:password@10.0.0.5/stream1
      xclip-stream probe yard.mp4 --snapshot yard.jpg
      xclip-stream probe /dev/video0 --seconds 20
      xclip-stream probe rtsp://10.0.0.5/stream1 --json | jq .timing.keyframe_s
    """
    from xclip_stream.sources.probing import probe_source  # noqa: PLC0415  # no other command needs PyAV

    if snapshot is not None:
        check_snapshot(snapshot)
    found = probe_source(
        source,
        seconds=seconds,
        transport=transport.value,
        open_timeout_s=open_timeout,
        read_timeout_s=read_timeout,
    )
    if as_json:
        emit(json.dumps({**plain_probe(found), "advice": advice(found)}, indent=2, ensure_ascii=False))
    else:
        print_picture(found.picture)
        table_console().print(probe_table(found))
        for line in advice(found):
            emit(f"advice: {line}")
    if found.error:
        print_error(found.error)
    is_kept = snapshot is None or keep_snapshot(found.picture, snapshot)
    raise typer.Exit(FAILED if found.error or not is_kept else DONE)


def check_snapshot(path: Path) -> None:
    """Look whether a picture can be written there, before anybody waits for a camera.

    Raises:
        ConfigError: it cannot.
    """
    if path.suffix.lower() not in _PICTURES:
        raise ConfigError(f"{path}: the name of a picture ends with .jpg or .png")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder")


def keep_snapshot(picture: Any, path: Path) -> bool:
    """Write the picture; where that fails, say so and return False."""
    from xclip_stream.sources.probing import save_picture  # noqa: PLC0415  # as above

    try:
        save_picture(picture, path)
    except XclipStreamError as error:
        print_error(error)
        return False
    return True
