"""The part of the API about the system itself: what runs, what waits, what was given up, what is configured."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xclip_stream.types import DeadLetter
from xclip_stream.web.answers import answered, missing, whole_number
from xclip_stream.web.services import Services
from xclip_stream.web.sharing import Shared
from xclip_stream.web.site import plain_site

LOOK_AGAIN_AFTER_S = 1.0
MAX_LETTERS = 500


class SystemApi:
    """Answers from one look a second at most, however many pages are open."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._look = Shared[None, dict[str, Any]](lambda _: dict(services.look()), for_s=LOOK_AGAIN_AFTER_S)
        self._letters = Shared[int, list[DeadLetter]](
            lambda count: services.queue.list_dead(max_count=count), for_s=LOOK_AGAIN_AFTER_S
        )

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/site", self.site),
            Route("/api/system", self.system),
            Route("/metrics", self.metrics),
            Route("/api/dead-letters", self.dead_letters),
            Route("/api/dead-letters/{letter_id}/replay", self.replay, methods=["POST"]),
            Route("/api/dead-letters/{letter_id}/drop", self.drop, methods=["POST"]),
        ]

    def site(self, _request: Request) -> Response:
        return self._answered(plain_site(self._services.site()))

    def system(self, _request: Request) -> Response:
        look = self._look(None)
        return self._answered(look | {"events_unread": self._services.feed.problem})

    def metrics(self, _request: Request) -> Response:
        kind, text = self._services.metrics()
        return Response(text, media_type=kind)

    def dead_letters(self, request: Request) -> Response:
        count = whole_number(request, "limit", 100, low=1, high=MAX_LETTERS)
        return self._answered({"letters": [_plain(letter) for letter in self._letters(count)]})

    def replay(self, request: Request) -> Response:
        return self._act(request, self._services.queue.replay_dead)

    def drop(self, request: Request) -> Response:
        return self._act(request, self._services.queue.drop_dead)

    def _act(self, request: Request, act: Callable[[str], bool]) -> Response:
        letter_id = request.path_params["letter_id"]
        if not act(letter_id):
            raise missing(f"there is no dead letter {letter_id}")
        self._letters.forget()
        self._look.forget()
        return self._answered({"done": letter_id})

    def _answered(self, value: Any) -> Response:
        return answered(value, self._services.redact)


def _plain(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "origin": letter.origin,
        "subject": letter.subject,
        "reason": letter.reason,
        "deliveries": letter.deliveries,
        "died_at": datetime.fromtimestamp(letter.died_at, UTC).isoformat(timespec="seconds"),
        "replayable": bool(letter.payload),
    }
