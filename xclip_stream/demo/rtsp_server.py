#!/usr/bin/python3
"""Plays an H.264 or HEVC file as a camera: an RTSP server, on the loopback interface unless told otherwise.

    /usr/bin/python3 rtsp_server.py clip.mp4 --port 8554 [--address 127.0.0.1] [--once] [--codec h265]
        [--user u --password p]

Prints the URL without the password when it is ready. A file is played again and again, its time stamps going on, or
once, and then the server ends. Each client gets the file from its start. It imports nothing of this package: it runs
with the Python of the system, where GStreamer's bindings are (on Debian: gir1.2-gst-rtsp-server-1.0, python3-gi and the
base, good, bad and ugly plugins).
"""

import argparse
import importlib
import signal
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

MOUNT = "/live"

# The units of the file go to an appsrc: GStreamer's own loop would begin its time stamps anew each time.
CAMERA = (
    "( appsrc name=units is-live=true format=time block=false"
    " caps=video/x-{codec},stream-format=byte-stream,alignment=au"
    " ! {codec}parse config-interval=-1 ! rtp{codec}pay name=pay0 pt=96 )"
)
READER = (
    "filesrc name=file ! parsebin ! {codec}parse config-interval=-1"
    " ! video/x-{codec},stream-format=byte-stream,alignment=au ! appsink name=units sync=false"
)


def binding(name: str, version: str) -> Any:
    try:
        importlib.import_module("gi").require_version(name, version)
        return importlib.import_module(f"gi.repository.{name}")
    except (ImportError, ValueError):
        sys.exit(
            f"{sys.executable} has no {name} {version}: start this with /usr/bin/python3, and on Debian\n"
            "apt install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,bad,ugly}"
        )


Gst = binding("Gst", "1.0")
GstRtspServer = binding("GstRtspServer", "1.0")
GLib = binding("GLib", "2.0")


@dataclass(frozen=True)
class Unit:
    """One coded frame; times in nanoseconds from the first."""

    content: bytes
    shown_at: int
    sent_at: int


def read_units(path: Path, codec: str) -> tuple[list[Unit], int]:
    """Return the coded frames of a file in the order of decoding, and how long the file is in nanoseconds."""
    pipeline = Gst.parse_launch(READER.format(codec=codec))
    pipeline.get_by_name("file").set_property("location", str(path))
    pipeline.set_state(Gst.State.PLAYING)
    sink = pipeline.get_by_name("units")
    buffers = []
    bus = pipeline.get_bus()
    # What is no such video gives an error, and no end.
    while bus.pop_filtered(Gst.MessageType.ERROR) is None and not sink.get_property("eos"):
        if (sample := sink.emit("try-pull-sample", Gst.SECOND // 10)) is not None:
            buffers.append(sample.get_buffer())
    pipeline.set_state(Gst.State.NULL)
    if not buffers:
        sys.exit(f"{path}: there is no {codec} video in it")
    shown = [buffer.pts for buffer in buffers]
    first = min(shown)
    sent = sorted(shown)
    units = [
        Unit(buffer.extract_dup(0, buffer.get_size()), buffer.pts - first, due - first)
        for buffer, due in zip(buffers, sent, strict=True)
    ]
    frame = (max(shown) - first) // max(1, len(units) - 1) or Gst.SECOND // 25
    return units, max(shown) - first + frame


class Playback:
    """Pushes the units to one client, in time."""

    def __init__(self, source: Any, units: list[Unit], length: int, *, once: bool) -> None:
        self._source = source
        self._length = length
        self._due = ((unit, turn * length) for turn in (range(1) if once else count()) for unit in units)
        self._next: tuple[Unit, int] | None = None
        self._began_us = 0

    def start(self) -> None:
        self._began_us = GLib.get_monotonic_time()
        self._next = next(self._due)
        self.push()

    def push(self, *_: Any) -> bool:
        """Push what is due and come back when the next is."""
        elapsed = (GLib.get_monotonic_time() - self._began_us) * 1000
        while self._next is not None and self._next[0].sent_at + self._next[1] <= elapsed:
            unit, shift = self._next
            buffer = Gst.Buffer.new_wrapped(unit.content)
            buffer.pts = unit.shown_at + shift
            if self._source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return False  # the client has gone
            self._next = next(self._due, None)
        if self._next is None:
            self._source.emit("end-of-stream")
            return False
        wait = self._next[0].sent_at + self._next[1] - elapsed
        GLib.timeout_add(max(1, wait // 1_000_000), self.push)
        return False


def make_server(
    path: Path,
    address: str,
    port: int,
    *,
    codec: str,
    once: bool,
    user: str | None,
    password: str | None,
    on_end: Any,
) -> Any:
    units, length = read_units(path, codec)
    server = GstRtspServer.RTSPServer.new()
    server.set_address(address)
    server.set_service(str(port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(CAMERA.format(codec=codec))

    def play(_: Any, media: Any) -> None:
        playback = Playback(media.get_element().get_child_by_name("units"), units, length, once=once)
        GLib.idle_add(playback.start)
        if once:
            media.connect("unprepared", on_end)

    factory.connect("media-configure", play)
    if user and password:
        protect(server, factory, user, password)
    server.get_mount_points().add_factory(MOUNT, factory)
    return server


def protect(server: Any, factory: Any, user: str, password: str) -> None:
    """Ask for a user and a password, with Basic authentication."""
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role("viewer")
    for permission in ("access", "construct"):
        permissions.add_permission_for_role("viewer", f"media.factory.{permission}", True)
    factory.set_permissions(permissions)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Play a file as an RTSP camera.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--address", default="127.0.0.1", help="of the interface to listen on")
    parser.add_argument("--once", action="store_true", help="play the file once to the first client, then end")
    parser.add_argument("--codec", choices=["h264", "h265"], default="h264", help="of the file")
    parser.add_argument("--user")
    parser.add_argument("--password")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if not arguments.file.is_file():
        sys.exit(f"{arguments.file}: there is no such file")
    Gst.init(None)
    loop = GLib.MainLoop()
    server = make_server(
        arguments.file,
        arguments.address,
        arguments.port,
        codec=arguments.codec,
        once=arguments.once,
        user=arguments.user,
        password=arguments.password,
        on_end=lambda *_: loop.quit(),
    )
    if server.attach(None) == 0:
        sys.exit(f"port {arguments.port} is taken")
    print(f"rtsp://{arguments.address}:{server.get_bound_port()}{MOUNT}", flush=True)  # noqa: T201 - this is its answer
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    loop.run()


if __name__ == "__main__":
    main()
