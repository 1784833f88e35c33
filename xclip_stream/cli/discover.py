"""`xclip-stream discover`: the cameras of the network that speak ONVIF."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from xclip_stream.cli.fitting_table import FittingTable
from xclip_stream.cli.output import emit, table_console
from xclip_stream.errors import SourceError
from xclip_stream.exits import DONE, FAILED, print_error
from xclip_stream.redaction import redact_url

if TYPE_CHECKING:
    from xclip_stream.sources.discovery import FoundDevice, FoundStream

_STREAMS_WITHIN_S = 15.0


def discover(
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.5, max=60, help="How long to wait for answers.")
    ] = 3.0,
    user: Annotated[
        str | None,
        typer.Option(envvar="XCLIP_STREAM_ONVIF_USER", help="Ask each camera for its streams, as this user."),
    ] = None,
    password: Annotated[
        str, typer.Option(envvar="XCLIP_STREAM_ONVIF_PASSWORD", help="Its password; better in the environment.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find cameras in this network that speak ONVIF, and with --user the addresses of their streams.

    Only cameras of the same network segment hear the question, and in many ONVIF has to be switched on first. Asking
    for streams takes pip install 'xclip-stream\\[onvif]'. Exit code 1 when none answers, or one refuses.

    [bold]Examples[/bold]

      xclip-stream discover
      XCLIP_STREAM_ONVIF_PASSWORD=secret xclip-stream discover --user viewer
      xclip-stream discover --timeout 10 --json | jq '.devices\\[].address'
    """
    from xclip_stream.sources.discovery import discover_devices  # noqa: PLC0415  # no other command searches

    devices = discover_devices(timeout_s=timeout)
    streams: dict[str, list[FoundStream]] = {}
    errors: dict[str, str] = {}
    for device in devices if user is not None else ():
        _ask(device, user or "", password, streams, errors)
    if as_json:
        emit(json.dumps({"devices": [_plain(device, streams, errors) for device in devices]}, indent=2))
    elif devices:
        table_console().print(_table(devices, streams))
    if not devices:
        print_error(
            f"no camera answered in {timeout:g} s: only those of the same network segment hear the question, and in "
            "many ONVIF has to be switched on"
        )
    for error in errors.values():
        print_error(error)
    raise typer.Exit(FAILED if errors or not devices else DONE)


def _ask(
    device: "FoundDevice",
    user: str,
    password: str,
    streams: "dict[str, list[FoundStream]]",
    errors: dict[str, str],
) -> None:
    from xclip_stream.sources.discovery import device_streams  # noqa: PLC0415  # as above

    try:
        streams[device.address] = device_streams(device, user=user, password=password, timeout_s=_STREAMS_WITHIN_S)
    except SourceError as error:
        errors[device.address] = str(error)


def _table(devices: "list[FoundDevice]", streams: "dict[str, list[FoundStream]]") -> FittingTable:
    table = FittingTable("host", "name", "hardware", "location", "streams" if streams else "ONVIF service")
    for device in devices:
        found = [_line(stream) for stream in streams.get(device.address, ())]
        place = "\n".join(found) if streams else device.address
        table.add_row(*map(Text, (device.host, device.name, device.hardware, device.location, place)))
    return table


def _line(stream: "FoundStream") -> str:
    size = f" {stream.width} × {stream.height}" if stream.width else ""
    rate = f", {stream.fps:g} frames/s" if stream.fps else ""
    return f"{redact_url(stream.url)}   {stream.codec}{size}{rate} ({stream.profile})"


def _plain(device: "FoundDevice", streams: "dict[str, list[FoundStream]]", errors: dict[str, str]) -> dict[str, Any]:
    found = [{**asdict(stream), "url": redact_url(stream.url)} for stream in streams.get(device.address, ())]
    return {**asdict(device), "streams": found, "error": errors.get(device.address)}
