"""Pictures and clips that are kept in a bucket, as pages get them: through the worker, which has the keys."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.buckets import KEYS, bucket_server, made_bucket
from tests.waiting import wait_until
from tests.web.dashboards import SITE, Dashboard, dashboard, recorded

CLIP = bytes(range(256)) * 1000
NAME = "yard/2026-03-01/0123456789abcdef0123456789abcdef.mp4"


def site_at(endpoint: str) -> str:
    keys = f"access_key: {KEYS['access_key']}, secret_key: {KEYS['secret_key']}"
    return SITE + f"evidence: {{url: 's3://cameras/site', endpoint_url: '{endpoint}', {keys}}}\n"


@pytest.fixture
def endpoint() -> Iterator[str]:
    with bucket_server() as url:
        yield url


@pytest.fixture
def bucket(endpoint: str) -> Any:
    made = made_bucket(endpoint)
    made.put_object(Key=f"site/{NAME}", Body=CLIP)
    made.put_object(Key="site/notes.mp4", Body=b"private")
    made.put_object(Key=NAME, Body=b"private")
    return made


@pytest.fixture
def kept(redis_url: str, tmp_path: Path, endpoint: str, bucket: Any) -> Iterator[Dashboard]:
    with dashboard(redis_url, tmp_path, site=site_at(endpoint), namespace=uuid4().hex) as served:
        yield served


def test_an_event_leads_to_its_clip_in_the_bucket(kept: Dashboard) -> None:
    (event_id,) = kept.judge(recorded([0.1, 0.9, 0.1]), clip_url=f"s3://cameras/site/{NAME}")
    wait_until(lambda: bool(kept.get("/api/events")["events"]))

    media = kept.get(f"/api/events/{event_id}")["media"]

    assert media == {"snapshot_url": None, "clip_url": f"/evidence/{NAME}"}
    with kept.client() as client:
        answer = client.get(media["clip_url"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        assert answer.content == CLIP
        assert not [key for key in KEYS.values() if key in str(answer.headers)]
        assert client.head(media["clip_url"]).headers["content-length"] == str(len(CLIP))


def test_a_player_may_ask_for_a_part_of_what_is_in_the_bucket(kept: Dashboard) -> None:
    with kept.client(range="bytes=100-199") as client:
        part = client.get(f"/evidence/{NAME}")
    with kept.client(range="bytes=9999999-") as client:
        beyond = client.get(f"/evidence/{NAME}")

    assert (part.status_code, part.content) == (206, CLIP[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(CLIP)}"
    assert beyond.status_code == 416


@pytest.mark.parametrize(
    "path", ["notes.mp4", f"../{NAME}", f"..%2f{NAME}", NAME.replace("mp4", "txt"), NAME.replace("0", "f"), "yard"]
)
def test_nothing_else_in_the_bucket_is_given_away(kept: Dashboard, path: str) -> None:
    with kept.client() as client:
        answer = client.get(f"/evidence/{path}")

    assert answer.status_code == 404
    assert "private" not in answer.text


def test_a_bucket_that_does_not_answer_is_told_in_one_line(redis_url: str, tmp_path: Path) -> None:
    keys = f"access_key: {KEYS['access_key']}, secret_key: {KEYS['secret_key']}"
    section = f"evidence: {{url: 's3://cameras/site', endpoint_url: 'http://127.0.0.1:1', {keys}}}\n"
    with (
        dashboard(redis_url, tmp_path, site=SITE + section, namespace=uuid4().hex) as served,
        served.client() as client,
    ):
        answer = client.get(f"/evidence/{NAME}")

    assert answer.status_code == 502
    assert answer.json()["error"].startswith(f"s3://cameras/site/{NAME}: cannot be read")
    assert not [key for key in KEYS.values() if key in answer.text]
