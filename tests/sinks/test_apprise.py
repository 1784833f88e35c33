import io
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image

from tests.event_builders import a_life, a_message
from xclip_stream.errors import DeliveryError, DeliveryRejected
from xclip_stream.sinks.apprise import AppriseSink, _Overheard

# The library loads all its services, and one of them an old module of Python.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def test_a_service_is_told_what_happened_in_words(endpoint):
    with AppriseSink(url=f"json://{endpoint.address}/hook") as sink:
        for message in a_life():
            sink.deliver(message)

    started, ended = [json.loads(request.body) for request in endpoint.requests]
    assert (started["title"], ended["title"]) == ("climbing at yard started", "climbing at yard ended")
    assert '"a person climbing over a fence"' in started["message"]
    assert ended["message"].endswith("lasted 3.0 s (released)")
    assert (started["type"], ended["type"]) == ("failure", "info")


def test_ntfy_gets_its_own_form(endpoint):
    with AppriseSink(url=f"ntfy://{endpoint.address}/alerts") as sink:
        sink.deliver(a_message())

    sent = json.loads(endpoint.requests[0].body)
    assert (sent["topic"], sent["title"]) == ("alerts", "climbing at yard started")


def test_a_snapshot_that_is_a_file_here_goes_with_it(endpoint, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")

    with AppriseSink(url=f"json://{endpoint.address}/hook") as sink:
        sink.deliver(a_message(snapshot_url=(tmp_path / "a.jpg").as_uri()))

    (attached,) = json.loads(endpoint.requests[0].body)["attachments"]
    assert (attached["filename"], attached["mimetype"]) == ("a.jpg", "image/jpeg")


def test_a_service_that_is_down_is_told_when_it_is_back(endpoint, answer):
    endpoint.answers = [answer(503), answer(200)]
    with AppriseSink(url=f"json://{endpoint.address}/hook") as sink:
        with pytest.raises(DeliveryError, match=r"^apprise json: .*503") as caught:
            sink.deliver(a_message())
        sink.deliver(a_message())

    assert not isinstance(caught.value, DeliveryRejected)
    assert [request.status for request in endpoint.requests] == [503, 200]


def test_no_error_and_no_log_shows_a_secret(endpoint, answer):
    endpoint.answers = [answer(403)]
    url = f"json://ops:pa55word@{endpoint.address}/T0KEN-T0KEN?+x-key=qu3ry-qu3ry"

    with logged() as log, AppriseSink(url=url) as sink, pytest.raises(DeliveryError) as caught:
        sink.deliver(a_message())

    apprise_lines = [line for line in log.getvalue().splitlines() if line.startswith("apprise")]
    shown = f"{caught.value!s} {caught.value!r} {apprise_lines}"
    assert not [secret for secret in ("pa55word", "T0KEN", "qu3ry") if secret in shown]


def test_what_is_logged_for_another_sink_meanwhile_is_passed_over():
    log = logging.getLogger("apprise")
    theirs = threading.Thread(target=log.warning, args=("no topic s3cret",))

    with _Overheard() as overheard:
        log.warning("the server is overloaded")
        theirs.start()
        theirs.join()

    assert overheard.last == "the server is overloaded"


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Give all that reaches the root of logging, as a worker would show it at its most talkative."""
    root, stream = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def test_a_kind_of_service_that_apprise_does_not_know_is_told_without_the_url():
    with AppriseSink(url="slak://T0KEN/x") as sink, pytest.raises(DeliveryError, match="does not know") as caught:
        sink.deliver(a_message())

    assert str(caught.value).startswith("apprise slak: ")
    assert "T0KEN" not in str(caught.value)


def test_what_is_no_event_is_rejected(endpoint, message):
    with AppriseSink(url=f"json://{endpoint.address}/") as sink, pytest.raises(DeliveryRejected, match="not an event"):
        sink.deliver(message())
