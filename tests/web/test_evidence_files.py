"""Pictures and clips as pages get them: from the folder of the configuration, and only these."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.waiting import wait_until
from tests.web.dashboards import SITE, Dashboard, dashboard, recorded
from xclip_stream.evidence import EvidenceRecord

CLIP = bytes(range(256)) * 40
NAME = f"yard/2026-03-01/{'a' * 32}.mp4"
LINK = f"yard/2026-03-01/{'b' * 32}.mp4"


@pytest.fixture
def kept(redis_url: str, tmp_path: Path) -> Iterator[Dashboard]:
    """A dashboard of a system that keeps evidence: one clip, and what is none of anybody's business."""
    folder = tmp_path / "evidence"
    (folder / NAME).parent.mkdir(parents=True)
    (folder / NAME).write_bytes(CLIP)
    (folder / "holiday.mp4").write_text("private")
    (folder / "notes.txt").write_text("private")
    (tmp_path / "outside.mp4").write_text("private")
    (folder / LINK).symlink_to(tmp_path / "outside.mp4")
    with dashboard(redis_url, tmp_path, site=SITE + "evidence: {dir: evidence}\n", namespace=uuid4().hex) as served:
        yield served


def test_an_event_leads_to_its_clip(kept: Dashboard, tmp_path: Path) -> None:
    base = (tmp_path / "evidence").as_uri()
    (event_id,) = kept.judge(recorded([0.1, 0.9, 0.1]), clip_url=f"{base}/{NAME}")
    wait_until(lambda: bool(kept.get("/api/events")["events"]))

    media = kept.get(f"/api/events/{event_id}")["media"]

    assert media == {"snapshot_url": None, "clip_url": f"/evidence/{NAME}"}
    with kept.client() as client:
        assert client.get(media["clip_url"]).content == CLIP


def test_an_event_says_what_has_become_of_its_evidence(kept: Dashboard) -> None:
    (event_id,) = kept.judge(recorded([0.1, 0.9, 0.1]))
    wait_until(lambda: bool(kept.get("/api/events")["events"]))
    before = kept.get(f"/api/events/{event_id}")["evidence"]
    record = EvidenceRecord(snapshot=True, clip=True, is_complete=True, partial=True)
    kept.queue.record_evidence("yard", event_id, record, ttl_s=600)

    assert before is None
    assert kept.get(f"/api/events/{event_id}")["evidence"] == {
        "snapshot": True,
        "clip": True,
        "is_complete": True,
        "partial": True,
        "lacks_from": None,
        "error": "",
    }


def test_an_open_event_leads_to_the_picture_that_no_phase_has_told_of_yet(kept: Dashboard, tmp_path: Path) -> None:
    (event_id,) = kept.judge(recorded([0.1, 0.9], begin=1_767_225_600.0))
    wait_until(lambda: bool(kept.get("/api/events")["events"]))
    name = f"yard/2026-01-01/{event_id}.jpg"
    picture = tmp_path / "evidence" / name
    picture.parent.mkdir()
    picture.write_bytes(b"a picture")
    kept.queue.record_evidence("yard", event_id, EvidenceRecord(snapshot=True), ttl_s=600)

    media = kept.get(f"/api/events/{event_id}")["media"]

    assert media == {"snapshot_url": f"/evidence/{name}", "clip_url": None}
    with kept.client() as client:
        assert client.get(media["snapshot_url"]).content == b"a picture"


def test_a_player_may_ask_for_a_part(kept: Dashboard) -> None:
    with kept.client(range="bytes=100-199") as client:
        part = client.get(f"/evidence/{NAME}")

    assert (part.status_code, part.content, part.headers["content-type"]) == (206, CLIP[100:200], "video/mp4")


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",
        "holiday.mp4",
        "../outside.mp4",
        "%2e%2e/outside.mp4",
        "..%2foutside.mp4",
        LINK,
        "yard",
        "a%00b.mp4",
        NAME.replace("yard", "%00"),
        NAME.replace("yard", "y" * 300),
    ],
)
def test_nothing_else_is_given_away(kept: Dashboard, path: str) -> None:
    with kept.client() as client:
        answer = client.get(f"/evidence/{path}")

    assert answer.status_code == 404
    assert "private" not in answer.text


def test_of_a_clip_that_grows_as_much_is_given_as_was_promised(kept: Dashboard, tmp_path: Path) -> None:
    clip = tmp_path / "evidence" / NAME
    clip.write_bytes(b"0" * 16_000_000)  # more than lies in the buffers of a connection that nobody reads
    with kept.client() as client, client.stream("GET", f"/evidence/{NAME}") as answer:
        promised = int(answer.headers["content-length"])
        with clip.open("ab") as growing:
            growing.write(b"1" * 1_000_000)
        got = len(answer.read())
        again = client.get(f"/evidence/{NAME}")  # over the same connection, which is not broken

    assert (promised, got) == (16_000_000, 16_000_000)
    assert len(again.content) == 17_000_000


def test_what_is_kept_elsewhere_is_not_looked_for_here(kept: Dashboard) -> None:
    (event_id,) = kept.judge(recorded([0.1, 0.9, 0.1]), clip_url="s3://bucket/yard/one.mp4")
    wait_until(lambda: bool(kept.get("/api/events")["events"]))

    assert kept.get(f"/api/events/{event_id}")["media"]["clip_url"] is None
