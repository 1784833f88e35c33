"""The test of a camera that `init` makes: opened as a reader opens it, with its picture and what should be changed."""

import os
import re
from dataclasses import replace

import typer

from xclip_stream.cli.new_site import NewCamera
from xclip_stream.cli.probe_advice import advice
from xclip_stream.cli.questions import Questions
from xclip_stream.cli.terminal_picture import print_picture
from xclip_stream.errors import SourceError
from xclip_stream.redaction import redact_url

_LOOK_S = 2.0
_TRIES = 5
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)\}")


def tested(camera: NewCamera, questions: Questions) -> tuple[NewCamera, bool]:
    """Return the camera with what was found, and whether it can be read; whoever answers may correct its address."""
    for _ in range(_TRIES):
        unset = [name for name in _REFERENCE.findall(camera.url) if name not in os.environ]
        if unset:
            typer.echo(f"{camera.id}: not tested, since {', '.join(unset)} is not set")
            return camera, True
        try:
            return replace(camera, remark=_look(camera)), True
        except SourceError as error:
            typer.echo(f"{camera.id}: {error}")
        another = questions.another_url()
        if another is None:
            break
        camera = replace(camera, url=another)
    return camera, False


def _look(camera: NewCamera) -> str:
    """Show the camera; return what it is like in a few words."""
    from xclip_stream.sources.probing import probe_source  # noqa: PLC0415  # PyAV is for those who test a camera

    typer.echo(f"{camera.id}: connecting to {redact_url(camera.url)} …")
    url = _REFERENCE.sub(lambda match: os.environ[match[1]], camera.url)
    found = probe_source(url, seconds=_LOOK_S, transport=camera.transport)
    print_picture(found.picture)
    rate = f", {found.timing.fps:.3g} frames/s" if found.timing.fps else ""
    remark = f"{found.facts.codec} {found.facts.width} × {found.facts.height}{rate}"
    typer.echo(f"{camera.id}: {remark}")
    for line in advice(found):
        typer.echo(f"{camera.id}: advice: {line}")
    return remark
