"""The latest picture of each source. Readers make them only while somebody looks, so asking is looking."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xclip_stream.types import Picture
from xclip_stream.web.answers import missing
from xclip_stream.web.services import Services
from xclip_stream.web.sharing import Shared

LOOK_FOR_S = 10.0
LOOK_AGAIN_AFTER_S = 4.0
"""How often Redis is told that somebody goes on looking; well within `LOOK_FOR_S`."""
PICTURE_FOR_S = 0.9
MAX_SOURCES = 10_000


class PicturesApi:
    """One picture a second of each source that is looked at, however many look."""

    def __init__(self, services: Services) -> None:
        self._services = services
        queue = services.queue
        self._looks = Shared[str, None](
            lambda source_id: queue.watch_pictures([source_id], ttl_s=LOOK_FOR_S),
            for_s=LOOK_AGAIN_AFTER_S,
            max_keys=MAX_SOURCES,
        )
        self._pictures = Shared[str, Picture | None](queue.latest_picture, for_s=PICTURE_FOR_S, max_keys=MAX_SOURCES)

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/sources/{source_id}/picture", self.show)]

    def show(self, request: Request) -> Response:
        source_id = request.path_params["source_id"]
        if source_id not in {source.id for source in self._services.site().sources}:
            raise missing(f"there is no source {source_id}")
        self._looks(source_id)
        picture = self._pictures(source_id)
        if picture is None:
            return Response(status_code=204)
        headers = {"x-captured-at": f"{picture.captured_at:.3f}"}
        return Response(picture.jpeg, media_type="image/jpeg", headers=headers)
