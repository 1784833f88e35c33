import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_stream.redaction import redact_text, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.5:554/stream1", "rtsp://10.0.0.5:554/stream1"),
        ("rtsp://admin:hunter2@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://admin:p@ss@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://admin@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://admin:hun/ter2@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://admin:hun?ter2@10.0.0.5/s", "rtsp://***"),
        ("http://h/v?user=a&pwd=hunter2", "http://h/v?user=***&pwd=***"),
        ("http://h/v?hunter2", "http://h/v?***"),
        ("rtsp://h/user=admin_password=hunter2_channel=1.sdp", "rtsp://h/user=***_password=***_channel=1.sdp"),
        ("rtsp://u:hunter2@[h/s", "rtsp://***"),
        ("videos/a b.mp4", "videos/a b.mp4"),
        ("v4l2:///dev/video0?fps=15", "v4l2:///dev/video0?fps=15"),
        ("v4l2://u:hunter2@h?fps=15", "v4l2://***@h?fps=***"),
        ("redis+sentinel://u:hunter2@a:1,[::1]:2,c/main/0", "redis+sentinel://***@a:1,[::1]:2,c/main/0"),
        ("rediss+cluster://a:1,b:2?ssl_keyfile=/k", "rediss+cluster://a:1,b:2?ssl_keyfile=***"),
        ("redis+sentinel://u:hunter2,a:1/main", "redis+sentinel://***"),
        ("rtsp://h/live,user=a,pwd=hunter2", "rtsp://h/live,user=***,pwd=***"),
    ],
)
def test_a_shown_url_names_the_host_and_no_secret(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_every_url_in_a_text_is_redacted() -> None:
    text = "cannot open 'rtsp://u:hunter2@a/1' nor (redis://:hunter2@b:6379/0), nor http://u:hunter2@c:9: it is away"

    shown = redact_text(text)

    assert shown == "cannot open 'rtsp://***@a/1' nor (redis://***@b:6379/0), nor http://***@c:9: it is away"


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1))
def test_no_password_survives_in_the_user_part(password: str) -> None:
    shown = redact_url(f"rtsp://u:{password}@host.example/live")

    assert shown in {"rtsp://***@host.example/live", "rtsp://***"}


def test_a_long_word_is_no_work_and_hides_no_url() -> None:
    word = "x" * 1_000_000

    assert redact_text(f"{word} {word}http://bob:hunter22@camera/") == f"{word} {word}http://***@camera/"
