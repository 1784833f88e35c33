"""The section of the evidence, and the keys of a source that belong to it."""

from pathlib import Path

import pytest

from xclip_stream.config import Config, read_config
from xclip_stream.errors import ConfigError

SITE = """\
sources:
  - {id: yard, url: "rtsp://10.0.0.5/stream1"%s}
rules:
  - {id: climbing, prompts: [a person climbing], background: [an empty yard]}
"""
FOLDER = Path("/etc/site")


def read(evidence: str = "", source: str = "") -> Config:
    text = SITE % source + (f"evidence: {evidence}\n" if evidence else "")
    return read_config(text, name="site.yaml", folder=FOLDER, environ={})


def complaint(evidence: str = "", source: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        read(evidence, source)
    return str(caught.value)


def test_without_the_section_nothing_is_kept() -> None:
    assert read().evidence is None
    assert read().sources[0].evidence


@pytest.mark.parametrize(
    ("section", "url"),
    [
        ("{}", "file:///etc/site/evidence"),
        ("{dir: /data/kept}", "file:///data/kept"),
        ("{url: 's3://cameras/north/'}", "s3://cameras/north"),
        ("{url: 's3://cameras', base_url: 'https://cameras.example/kept/'}", "https://cameras.example/kept"),
    ],
)
def test_events_say_where_the_files_are(section: str, url: str) -> None:
    evidence = read(section).evidence

    assert evidence is not None
    assert evidence.shown_url == url


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{url: 'https://cameras.example'}", "must be a bucket, like s3://bucket/folder"),
        ("{url: 's3://key:secret@cameras'}", "must be a bucket, like s3://bucket/folder"),
        ("{endpoint_url: 'http://minio:9000'}", "are for a url like s3://bucket/folder"),
        ("{url: 's3://cameras', access_key: AKIA}", "access_key and secret_key come together"),
        ("{base_url: cameras.example}", "must be a URL that starts with http:// or https://"),
        ("{pre_roll_s: 600}", "pre_roll_s"),
        ("{pre_roll_s: 10, max_clip_s: 10}", "max_clip_s must be more than pre_roll_s"),
        ("{preroll_s: 5}", "did you mean 'pre_roll_s'"),
    ],
)
def test_a_section_that_cannot_be_meant_so_is_refused(section: str, said: str) -> None:
    assert said in complaint(section)
    assert "secret@" not in complaint(section)


def test_the_keys_of_a_bucket_are_secrets() -> None:
    config = read("{url: 's3://cameras', access_key: AKIATEST, secret_key: not-to-be-told}")

    assert {"AKIATEST", "not-to-be-told"} <= set(config.secret_values())
    assert "not-to-be-told" not in repr(config)


def test_another_stream_is_recorded_of_cameras_alone() -> None:
    assert read(source=", record_url: 'rtsp://10.0.0.5/stream0'").sources[0].record_url
    assert "record_url is another stream of a camera" in complaint(source=", record_url: film.mp4")
