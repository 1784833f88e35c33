"""What is encoded comes back, and bytes that nobody encoded are refused with one kind of error."""

import contextlib
import json
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_stream import codec
from xclip_stream.errors import DecodeError
from xclip_stream.protocols import RuleStatus, SourceState, SourceStatus
from xclip_stream.types import TRACEPARENT, IdleState, Message, Picture, Scores, ScoreStatus, Window, WindowId

seconds = st.floats(allow_nan=False, allow_infinity=False)
moments = st.floats(-62_104_060_800, 253_370_764_799)
counts = st.integers(0, (1 << 63) - 1)
names = st.lists(st.text(max_size=12), max_size=3).map(tuple)
window_ids = st.builds(WindowId, source_id=st.text(max_size=12), epoch=st.text(max_size=12), seq=counts)

DECODERS: dict[str, Callable[[bytes], object]] = {
    "window": codec.decode_window,
    "scores": codec.decode_scores,
    "message": codec.decode_message,
    "picture": codec.decode_picture,
    "source status": codec.decode_source_status,
    "rule status": codec.decode_rule_status,
}


@st.composite
def windows(draw: st.DrawFn) -> Window:
    regions, frame_ids = draw(names), draw(st.lists(counts, max_size=3).map(tuple))
    side = draw(st.integers(0, 3))
    frames = np.random.default_rng(draw(st.integers(0, 9))).integers(
        0, 256, (len(regions), len(frame_ids), side, side, 3), np.uint8
    )
    return Window(
        id=draw(window_ids),
        live=draw(st.booleans()),
        first_pts_s=draw(seconds),
        last_pts_s=draw(seconds),
        captured_at=draw(moments),
        produced_at=draw(moments),
        frame_ids=frame_ids,
        regions=regions,
        frames=frames,
    )


@st.composite
def scores(draw: st.DrawFn) -> Scores:
    regions, prompts = draw(names), draw(names)
    logits = np.random.default_rng(draw(st.integers(0, 9))).normal(size=(len(regions), len(prompts)))
    return Scores(
        id=draw(window_ids),
        generation=draw(counts),
        status=draw(st.sampled_from(ScoreStatus)),
        live=draw(st.booleans()),
        first_pts_s=draw(seconds),
        last_pts_s=draw(seconds),
        captured_at=draw(moments),
        produced_at=draw(moments),
        scored_at=draw(moments),
        regions=regions,
        prompts=prompts,
        logits=logits.astype(np.float32),
        model_name=draw(st.text(max_size=12)),
        model_sha256=draw(st.text(max_size=12)),
        traceparent=draw(st.just("") | st.from_regex(TRACEPARENT, fullmatch=True)),
        same_as=draw(st.none() | counts),
    )


plain = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
messages = st.builds(Message, message_id=plain, source_id=st.text(), body=st.binary(), committed_at=moments)
source_statuses = st.builds(
    SourceStatus,
    source_id=st.text(),
    state=st.sampled_from(SourceState),
    live=st.booleans(),
    fps=seconds,
    position_s=seconds,
    duration_s=st.none() | seconds,
    windows=counts,
    dropped=counts,
    lag_s=seconds,
    error=st.text(),
    updated_at=moments,
    idle=st.none() | st.sampled_from(IdleState),
    decoded_share=st.floats(0.0, 1.0),
)
rule_statuses = st.builds(
    RuleStatus,
    source_id=st.text(),
    windows=counts,
    dropped=counts,
    expired=counts,
    failed=counts,
    position_s=seconds,
    top_rule=st.text(),
    top_score=seconds,
    open_events=counts,
    events=counts,
    updated_at=moments,
)


@given(windows())
def test_a_window_comes_back_as_it_was(window: Window) -> None:
    whole = codec.decode_window(codec.encode_window(window))
    parts = codec.decode_window_parts(codec.encode_window_header(window), bytes(codec.window_pixels(window)))

    assert whole == parts == window
    np.testing.assert_array_equal(whole.frames, window.frames)
    np.testing.assert_array_equal(parts.frames, window.frames)


def test_frames_that_do_not_lie_in_one_piece_are_encoded_in_order() -> None:
    frames = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 4, 3)[:, ::-1, :, ::-1]
    window = Window(WindowId("yard", "e", 0), True, 0.0, 1.0, 1.0, 1.0, (2, 1, 0), ("", "gate"), frames)

    np.testing.assert_array_equal(codec.decode_window(codec.encode_window(window)).frames, frames)


@given(scores())
def test_scores_come_back_as_they_were(value: Scores) -> None:
    decoded = codec.decode_scores(codec.encode_scores(value))

    assert decoded == value
    assert decoded.logits.dtype == np.float32
    np.testing.assert_array_equal(decoded.logits, value.logits)


@given(messages)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert codec.decode_message(codec.encode_message(message)) == message


@given(st.builds(Picture, captured_at=moments, jpeg=st.binary(max_size=99)))
def test_a_picture_comes_back_as_it_was(picture: Picture) -> None:
    assert codec.decode_picture(codec.encode_picture(picture)) == picture


@given(source_statuses, rule_statuses)
def test_statuses_come_back_as_they_were(source: SourceStatus, rules: RuleStatus) -> None:
    assert codec.decode_source_status(codec.encode_source_status(source)) == source
    assert codec.decode_rule_status(codec.encode_rule_status(rules)) == rules


@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=200))
def test_garbage_is_refused_with_a_decode_error(kind: str, garbage: bytes) -> None:
    with pytest.raises(DecodeError):
        DECODERS[kind](garbage)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


ENCODED: dict[str, st.SearchStrategy[bytes]] = {
    "window": windows().map(codec.encode_window),
    "scores": scores().map(codec.encode_scores),
    "message": messages.map(codec.encode_message),
    "picture": st.builds(Picture, captured_at=moments, jpeg=st.binary(max_size=99)).map(codec.encode_picture),
    "source status": source_statuses.map(codec.encode_source_status),
    "rule status": rule_statuses.map(codec.encode_rule_status),
}


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.data())
def test_a_header_with_one_wrong_field_is_refused_or_is_another_value(kind: str, data: st.DataObject) -> None:
    encoded = data.draw(ENCODED[kind])
    header = header_of(encoded)
    header[data.draw(st.sampled_from(sorted(header)))] = data.draw(json_values)

    with contextlib.suppress(DecodeError):
        DECODERS[kind](with_header(encoded, json.dumps(header).encode()))


@pytest.mark.parametrize("kind", DECODERS)
@given(data=st.data())
def test_a_value_with_one_wrong_byte_is_refused_or_is_another_value(kind: str, data: st.DataObject) -> None:
    encoded = bytearray(data.draw(ENCODED[kind]))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))

    with contextlib.suppress(DecodeError):
        DECODERS[kind](bytes(encoded))


@given(scores(), st.data())
def test_a_value_cut_short_is_refused(value: Scores, data: st.DataObject) -> None:
    encoded = codec.encode_scores(value)
    short = encoded[: data.draw(st.integers(0, len(encoded) - 1))]

    with pytest.raises(DecodeError):
        codec.decode_scores(short)


@pytest.mark.parametrize(
    "header",
    [
        b'{"message_id": "a", "source_id": "b", "committed_at": 1e999}',
        b'{"message_id": "a", "source_id": "b", "committed_at": NaN}',
        b'{"message_id": "a", "source_id": "b", "committed_at": 1e12}',
        b'{"message_id": "a", "source_id": "b", "committed_at": -1e12}',
        b'{"message_id": "a", "source_id": "b", "committed_at": true}',
        b'{"message_id": "a", "source_id": "b", "committed_at": 1' + b"0" * 400 + b"}",
        b'{"message_id": "\\ud800", "source_id": "b", "committed_at": 1}',
        b'{"message_id": "a\\nb", "source_id": "b", "committed_at": 1}',
        b'{"message_id": "\\u00e9", "source_id": "b", "committed_at": 1}',
        b'{"message_id": "a", "committed_at": 1}',
        b"[" * 100_000,
        b"[]",
        b"\xff\xfe",
    ],
)
def test_a_hostile_header_is_refused(header: bytes) -> None:
    message = codec.encode_message(Message("a", "b", b"", 1.0))

    with pytest.raises(DecodeError):
        codec.decode_message(with_header(message, header))


def test_a_value_of_another_kind_or_version_is_refused_by_name() -> None:
    message = codec.encode_message(Message("a", "b", b"{}", 1.0))

    with pytest.raises(DecodeError, match="kind"):
        codec.decode_scores(message)
    with pytest.raises(DecodeError, match="version 9"):
        codec.decode_message(message[:2] + b"\x09" + message[3:])


def header_of(encoded: bytes) -> dict[str, object]:
    (length,) = struct.unpack_from(">I", encoded, 4)
    header = json.loads(encoded[8 : 8 + length])
    assert isinstance(header, dict)
    return header


def with_header(encoded: bytes, header: bytes) -> bytes:
    (length,) = struct.unpack_from(">I", encoded, 4)
    return encoded[:4] + struct.pack(">I", len(header)) + header + encoded[8 + length :]
