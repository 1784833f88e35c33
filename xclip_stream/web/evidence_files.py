"""Pictures and clips of events, from the folder of this machine or the bucket where they are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from xclip_stream.events import parse_time
from xclip_stream.evidence import CLIP, SNAPSHOT, EvidenceRecord, evidence_name, evidence_url, is_evidence
from xclip_stream.protocols import EvidenceReader
from xclip_stream.web.answers import missing
from xclip_stream.web.evidence_bucket import passed_on, span_of
from xclip_stream.web.services import Services
from xclip_stream.web.site import Site

_MEDIA_TYPES = {SNAPSHOT: "image/jpeg", CLIP: "video/mp4"}
_NOT_THERE = "there is no such picture or clip, or not any more"


class EvidenceFiles:
    """Serves them by ranges, as players ask, and nothing else that may lie in the folder."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[BaseRoute]:
        return [Route("/evidence/{name:path}", self.show)]

    def show(self, request: Request) -> Response:
        name, bucket = request.path_params["name"], self._services.bucket()
        if bucket is not None:
            return _from_bucket(bucket, name, request)
        path = self._path(name)
        # A clip grows until it is complete, and has the same name then.
        return _AsPromised(path, media_type=_MEDIA_TYPES[path.suffix], headers={"cache-control": "no-cache"})

    def _path(self, name: str) -> Path:
        folder = self._services.site().evidence_dir
        try:
            if folder is not None and is_evidence(name):
                path = (folder / name).resolve()
                if path.is_relative_to(folder.resolve()) and path.is_file():
                    return path
        except (OSError, ValueError) as error:  # that is no name of a file
            raise missing(_NOT_THERE) from error
        raise missing(_NOT_THERE)


def _from_bucket(bucket: EvidenceReader, name: str, request: Request) -> Response:
    file = bucket.read(name, span=span_of(request)) if is_evidence(name) else None
    if file is None:
        raise missing(_NOT_THERE)
    return passed_on(file, _MEDIA_TYPES[Path(name).suffix])


class _AsPromised(FileResponse):
    """As much of a file as it had at the beginning: a clip that grows meanwhile would break the answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = 0

        async def send_promised(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                left = int(Headers(raw=message["headers"]).get("content-length", 0))
            else:
                message["body"] = message["body"][:left]
                left -= len(message["body"])
            await send(message)

        await super().__call__(scope, receive, send_promised)


def media_of(
    fields: Mapping[str, Any], services: Services, record: EvidenceRecord | None = None
) -> dict[str, str | None]:
    """Return where a page finds the picture and the clip of an event; None for what it cannot show.

    With its record it finds what is there already, though no phase has told of it yet.
    """
    site = services.site()
    if site.evidence_dir is None and services.bucket() is None:
        return {"snapshot_url": None, "clip_url": None}
    record = record or EvidenceRecord()
    return {
        "snapshot_url": _shown(fields.get("snapshot_url"), site)
        or (_kept(fields, SNAPSHOT) if record.snapshot else None),
        "clip_url": _shown(fields.get("clip_url"), site) or (_kept(fields, CLIP) if record.clip else None),
    }


def _kept(fields: Mapping[str, Any], suffix: str) -> str:
    start_time = parse_time(fields["start_time"])
    return evidence_url(
        "/evidence", evidence_name(fields["source_id"], fields["event_id"], start_time=start_time), suffix
    )


def _shown(url: object, site: Site) -> str | None:
    base = site.evidence_url.rstrip("/") + "/"
    if not isinstance(url, str) or not url.startswith(base):
        return None
    return f"/evidence/{url.removeprefix(base)}"
