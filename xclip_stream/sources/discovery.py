"""Cameras of the network that speak ONVIF: found by WS-Discovery, and asked for their streams."""

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from wsdiscovery import QName
from wsdiscovery.discovery import ThreadedWSDiscovery

from xclip_stream.errors import LoginRejected, SourceError, SourceRejected, SourceUnavailable, XclipStreamError

_CAMERA = QName("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")
_SCOPE = re.compile(r"onvif://www\.onvif\.org/(name|hardware|location)/(.*)", re.IGNORECASE)
_MAX_PROFILES = 16
_STUMBLES = (AttributeError, LookupError, TypeError, ValueError)
"""What the SOAP library, or taking its answer apart, ends with where something is missing in it."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDevice:
    """A camera that answered."""

    address: str
    """The URL of its ONVIF service."""
    host: str
    name: str
    hardware: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStream:
    """A stream of a camera; zeros where it does not say."""

    profile: str
    url: str
    codec: str
    width: int
    height: int
    fps: float


def discover_devices(*, timeout_s: float) -> list[FoundDevice]:
    """Ask the network segment for cameras and collect the answers for so long.

    Raises:
        SourceUnavailable: there is no network to ask.
    """
    # It warns of each interface that cannot send to many at once, as most tunnels.
    logging.getLogger("threading").setLevel(logging.ERROR)
    search = ThreadedWSDiscovery()
    try:
        search.start()
        services = search.searchServices(types=[_CAMERA], timeout=timeout_s)
        found = {device.address: device for service in services if (device := _device(service)) is not None}
        search.stop()
    except OSError as error:
        raise SourceUnavailable(f"the network cannot be searched: {error.strerror or error}") from None
    return sorted(found.values(), key=lambda device: device.address)


def device_streams(device: FoundDevice, *, user: str, password: str, timeout_s: float) -> list[FoundStream]:
    """Ask a camera for its streams.

    Raises:
        XclipStreamError: what this takes is not installed.
        LoginRejected: it refuses user or password.
        SourceError: it does not answer, or not as ONVIF says.
    """
    try:
        from aiohttp import ClientError  # noqa: PLC0415  # as below
        from onvif import ONVIFCamera  # noqa: PLC0415  # an extra: it brings a SOAP library along
        from onvif.exceptions import ONVIFError  # noqa: PLC0415  # as above
        from zeep.exceptions import Error as SoapError  # noqa: PLC0415  # as above
    except ImportError:
        raise XclipStreamError("asking a camera for its streams takes: pip install 'xclip-stream[onvif]'") from None

    async def ask() -> list[FoundStream]:
        parts = urlsplit(device.address)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)
        # Cameras refuse a login whose time is not that of their own clock.
        camera = ONVIFCamera(f"{parts.scheme}://{_bracketed(device.host)}", port, user, password, adjust_time=True)
        try:
            return await asyncio.wait_for(_streams(camera), timeout_s)
        finally:
            await camera.close()

    try:
        return asyncio.run(ask())
    except TimeoutError:
        raise SourceUnavailable(f"{device.host}: no answer in {timeout_s:g} s") from None
    except (ONVIFError, SoapError, ClientError, OSError, *_STUMBLES) as error:
        # Not one of them carries the password: it leaves this machine as a digest.
        raise _refusal(device.host, error) from None


async def _streams(camera: Any) -> list[FoundStream]:
    await camera.update_xaddrs()
    media = await camera.create_media_service()
    found = []
    for profile in (await media.GetProfiles() or [])[:_MAX_PROFILES]:
        answer = await media.GetStreamUri(
            {
                "StreamSetup": {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}},
                "ProfileToken": profile.token,
            }
        )
        encoder = profile.VideoEncoderConfiguration
        found.append(
            FoundStream(
                profile=_printable(profile.Name),
                url=_printable(answer.Uri),
                codec=_printable(encoder.Encoding) if encoder else "",
                width=int(encoder.Resolution.Width) if encoder and encoder.Resolution else 0,
                height=int(encoder.Resolution.Height) if encoder and encoder.Resolution else 0,
                fps=float(encoder.RateControl.FrameRateLimit) if encoder and encoder.RateControl else 0.0,
            )
        )
    return found


def _refusal(host: str, error: Exception) -> SourceError:
    text = " ".join(str(error).split())
    if re.search(r"(?i)auth|sender not|401|not permitted", text):
        return LoginRejected(f"{host}: wrong user or password for ONVIF; many cameras have users of their own for it")
    if isinstance(error, OSError):
        return SourceUnavailable(f"{host}: its ONVIF service cannot be reached ({text})")
    return SourceRejected(f"{host}: does not answer as ONVIF says ({text[:120]})")


def _device(service: Any) -> FoundDevice | None:
    addresses = [address for address in service.getXAddrs() if address.isprintable() and urlsplit(address).hostname]
    if not addresses:
        return None
    address = _nearest(addresses)
    said = dict(_scopes([scope.getValue() for scope in service.getScopes()]))
    return FoundDevice(
        address=address,
        host=urlsplit(address).hostname or "",
        name=said.get("name", ""),
        hardware=said.get("hardware", ""),
        location=said.get("location", ""),
    )


def _nearest(addresses: Sequence[str]) -> str:
    """Return the address to use: cameras name those of all their networks; IPv4 ones need no zone."""
    return next((address for address in addresses if "[" not in address), addresses[0])


def _scopes(scopes: Sequence[str]) -> list[tuple[str, str]]:
    matches = [match for scope in scopes if (match := _SCOPE.fullmatch(scope))]
    return [(match[1].lower(), _printable(unquote(match[2])).replace("_", " ").strip()) for match in matches]


def _printable(text: Any) -> str:
    """Return what a device says without the characters that a terminal takes for commands."""
    return "".join(mark for mark in str(text) if mark.isprintable())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
