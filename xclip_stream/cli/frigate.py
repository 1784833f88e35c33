"""The cameras of a Frigate configuration. Pure: takes its text, gives cameras and a line for what was left."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from xclip_stream.cli.ids import slug
from xclip_stream.cli.new_site import NewCamera, free_id
from xclip_stream.device_url import is_device_path
from xclip_stream.errors import ConfigError
from xclip_stream.network_url import CAMERA_SCHEMES

_VARIABLE = re.compile(r"(?<!\$)\{(FRIGATE_\w+)\}")
_RESTREAM_HOSTS = {"127.0.0.1", "localhost", "::1"}
_RESTREAM_PORT = 8554
_KNOWN = {"cameras", "go2rtc", "version"}
_KNOWN_OF_CAMERA = {"ffmpeg", "enabled", "friendly_name"}


@dataclass(frozen=True, slots=True)
class FrigateImport:
    """What was found: cameras, and a line for each thing that was not taken over."""

    cameras: Sequence[NewCamera]
    remarks: Sequence[str]


def read_frigate(text: str, *, name: str) -> FrigateImport:
    """Read a Frigate configuration; `name` stands in the errors where the file would.

    Raises:
        ConfigError: it is none, or has no camera that can be taken over.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(
            f"{name}{place}: is not YAML: {getattr(error, 'problem', None) or 'cannot be read'}"
        ) from None
    if not isinstance(values, dict) or not isinstance(values.get("cameras"), dict):
        raise ConfigError(f"{name}: is not a configuration of Frigate: it has no cameras")
    reading = _Reading(values)
    reading.read()
    if not reading.cameras:
        raise ConfigError("\n".join([f"{name}: has no camera that can be taken over", *reading.remarks]))
    return FrigateImport(reading.cameras, reading.remarks)


class _Reading:
    """One configuration on its way to cameras and remarks."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._streams = _mapping(_mapping(values.get("go2rtc")).get("streams"))
        self.cameras: list[NewCamera] = []
        self.remarks: list[str] = []

    def read(self) -> None:
        for name, camera in self._values["cameras"].items():
            self._camera(str(name), _mapping(camera))
        left: dict[str, list[str]] = {}
        for name, camera in self._values["cameras"].items():
            for key in _mapping(camera).keys() - _KNOWN_OF_CAMERA:
                left.setdefault(str(key), []).append(str(name))
        self.remarks += [
            f"{key} of {', '.join(left[key])}: not taken over{_HINTS.get(key, '')}" for key in sorted(left)
        ]
        others = [str(key) for key in self._values if key not in _KNOWN]
        self.remarks += [f"{key}: not taken over{_HINTS.get(key, '')}" for key in others]

    def _camera(self, name: str, camera: Mapping[str, Any]) -> None:
        if camera.get("enabled") is False:
            self.remarks.append(f"camera {name}: left out, since it is not enabled")
            return
        ffmpeg = _mapping(camera.get("ffmpeg"))
        inputs = [each for each in _list(ffmpeg.get("inputs")) if isinstance(each, dict) and each.get("path")]
        if not inputs:
            self.remarks.append(f"camera {name}: left out, since it has no ffmpeg inputs")
            return
        detect = next((each for each in inputs if "detect" in _roles(each)), inputs[0])
        record = next((each for each in inputs if "record" in _roles(each) and each is not detect), None)
        url = self._url(name, str(detect["path"]))
        if url is None:
            return
        arguments = f"{ffmpeg.get('input_args', '')} {detect.get('input_args', '')}"
        self.cameras.append(
            NewCamera(
                id=free_id(slug(name) or "camera", self.cameras),
                url=url,
                record_url=None if record is None else self._url(name, str(record["path"])),
                transport="udp" if re.search(r"preset-rtsp-udp|rtsp_transport\W+udp", arguments) else "tcp",
            )
        )

    def _url(self, name: str, path: str) -> str | None:
        """Return the URL of an input; a restream of Frigate's own go2rtc is followed to the camera."""
        parts = urlsplit(_VARIABLE.sub("x", path))
        if parts.hostname in _RESTREAM_HOSTS and parts.port == _RESTREAM_PORT:
            stream = parts.path.strip("/")
            found = self._stream(stream, depth=0)
            if found is None:
                self.remarks.append(
                    f"camera {name}: go2rtc's {stream} leads to no camera; put the host of Frigate into its url"
                )
            return _with_references(found or path)
        if is_device_path(path) or parts.scheme in CAMERA_SCHEMES:
            return _with_references(path)
        self.remarks.append(f"camera {name}: left out, since {parts.scheme or 'its path'} is no kind of source here")
        return None

    def _stream(self, name: str, *, depth: int) -> str | None:
        """Return the first address of a go2rtc stream that is one of a camera."""
        for address in _list(self._streams.get(name)):
            if not isinstance(address, str):
                continue
            url = address.removeprefix("ffmpeg:").partition("#")[0]
            if url.startswith("rtspx://"):
                return url.replace("rtspx://", "rtsps://", 1)
            if url.partition("://")[0] in CAMERA_SCHEMES:
                return url
            if depth < len(self._streams) and url in self._streams and url != name:
                return self._stream(url, depth=depth + 1)
        return None


_HINTS = {
    "zones": "; draw them as regions of the source",
    "motion": "; what its mask covers can be a mask of the source",
    "mqtt": "; a sink can send events to your broker",
    "objects": "; write rules with prompts",
}


def _with_references(path: str) -> str:
    return _VARIABLE.sub(r"${\1}", path)


def _roles(each: Mapping[str, Any]) -> list[str]:
    return [str(role) for role in _list(each.get("roles", ["detect"]))]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
