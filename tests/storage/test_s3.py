"""Evidence in a bucket, on a real server of the protocol."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.buckets import KEYS, bucket_server, made_bucket
from xclip_stream.errors import ConfigError, EvidenceError, NoSuchSpan
from xclip_stream.protocols import EvidenceStore
from xclip_stream.storage import open_bucket, open_bucket_reader

NAME = "yard/2023-11-14/0123.mp4"


@pytest.fixture
def endpoint() -> Iterator[str]:
    with bucket_server() as url:
        yield url


@pytest.fixture
def bucket(endpoint: str) -> Any:
    return made_bucket(endpoint)


def store_at(url: str, endpoint: str, spool: Path) -> EvidenceStore:
    return open_bucket(url, spool=spool, endpoint_url=endpoint, **KEYS)


def draft_of(store: EvidenceStore, content: str) -> Path:
    place = store.place(NAME)
    place.write_text("growing")
    draft = place.with_name(".draft")
    draft.write_text(content)
    return draft


def test_a_finished_file_is_in_the_bucket_and_no_more_on_this_machine(
    bucket: Any, endpoint: str, tmp_path: Path
) -> None:
    store = store_at("s3://cameras/site/north", endpoint, tmp_path)
    draft = draft_of(store, "whole")

    store.keep(draft, NAME)

    (found,) = bucket.objects.all()
    assert found.key == f"site/north/{NAME}"
    assert found.get()["Body"].read() == b"whole"
    assert found.get()["ContentType"] == "video/mp4"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert (store.has(NAME), store.has("yard/2023-11-14/gone.mp4")) == (True, False)
    assert not store.shows_growing


def test_a_bucket_needs_no_folder(bucket: Any, endpoint: str, tmp_path: Path) -> None:
    store = store_at("s3://cameras", endpoint, tmp_path)
    store.keep(draft_of(store, "whole"), NAME)

    assert [found.key for found in bucket.objects.all()] == [NAME]


@pytest.mark.parametrize("trouble", ["no such bucket", "no such server"])
def test_what_the_bucket_does_not_take_stays_and_can_be_tried_again(
    bucket: Any, endpoint: str, tmp_path: Path, trouble: str
) -> None:
    elsewhere = endpoint if trouble == "no such bucket" else "http://127.0.0.1:1"
    store = store_at("s3://gone" if trouble == "no such bucket" else "s3://cameras", elsewhere, tmp_path)
    draft = draft_of(store, "whole")

    with pytest.raises(EvidenceError, match=rf"s3://\w+/{NAME}: cannot be written") as failed:
        store.keep(draft, NAME)
    assert KEYS["secret_key"] not in str(failed.value)
    assert draft.read_text() == "whole"
    if trouble == "no such server":
        with pytest.raises(EvidenceError, match="cannot be looked for"):
            store.has(NAME)

    store_at("s3://cameras", endpoint, tmp_path).keep(draft, NAME)
    assert [found.key for found in bucket.objects.all()] == [NAME]


def test_a_missing_package_is_told_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    monkeypatch.delitem(__import__("sys").modules, "xclip_stream.storage.s3", raising=False)

    with pytest.raises(ConfigError, match=r"pip install 'xclip-stream\[s3\]'"):
        open_bucket("s3://cameras", spool=tmp_path, endpoint_url=None, access_key=None, secret_key=None)


def test_what_is_in_the_bucket_is_read_whole_or_in_part(bucket: Any, endpoint: str) -> None:
    bucket.put_object(Key=f"site/north/{NAME}", Body=b"0123456789")
    reader = open_bucket_reader("s3://cameras/site/north", endpoint_url=endpoint, **KEYS)

    whole, part = reader.read(NAME, span=None), reader.read(NAME, span="bytes=2-4")

    assert whole is not None
    assert part is not None
    assert (b"".join(whole.pieces), whole.num_bytes, whole.span) == (b"0123456789", 10, "")
    assert (b"".join(part.pieces), part.num_bytes, part.span) == (b"234", 3, "bytes 2-4/10")
    assert reader.read("yard/2023-11-14/gone.mp4", span=None) is None
    with pytest.raises(NoSuchSpan):
        reader.read(NAME, span="bytes=50-")


def test_a_bucket_that_does_not_answer_is_told_without_its_keys() -> None:
    reader = open_bucket_reader("s3://cameras", endpoint_url="http://127.0.0.1:1", **KEYS)

    with pytest.raises(EvidenceError, match=rf"s3://cameras/{NAME}: cannot be read") as failed:
        reader.read(NAME, span=None)
    assert KEYS["secret_key"] not in str(failed.value)
