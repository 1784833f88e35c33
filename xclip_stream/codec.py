"""Bytes for the values that cross a process, and back.

Every value is one frame: magic, version, kind, a JSON header and a body of raw bytes. A window is cut in two, its
header and its pixels, so that the pixels go to the server and come back without a copy. Decoding trusts nothing:
whatever the bytes are, it answers with a value or raises DecodeError.

A field that may be missing keeps the version: who does not know it passes it over. Any other change makes it another.
"""

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

import numpy as np

from xclip_stream.errors import DecodeError
from xclip_stream.protocols import RuleStatus, SourceState, SourceStatus
from xclip_stream.types import (
    TRACEPARENT,
    IdleState,
    Logits,
    Message,
    Picture,
    Pixels,
    Scores,
    ScoreStatus,
    Window,
    WindowId,
    is_moment,
)

VERSION = 1
E = TypeVar("E", bound=StrEnum)
_MAGIC = b"XC"
_PREFIX = struct.Struct(">2sB1sI")
_MAX_SIDE_PX = 1 << 14


def encode_window_header(window: Window) -> bytes:
    """Encode all of a window but its pixels; `window_pixels` gives those."""
    return _pack(
        b"W",
        {
            **_id_header(window.id),
            "live": window.live,
            "first_pts_s": window.first_pts_s,
            "last_pts_s": window.last_pts_s,
            "captured_at": window.captured_at,
            "produced_at": window.produced_at,
            "frame_ids": list(window.frame_ids),
            "regions": list(window.regions),
            "shape": list(window.frames.shape),
        },
    )


def window_pixels(window: Window) -> memoryview:
    """Return the raw bytes of the frames, without a copy where they lie in one piece."""
    return np.ascontiguousarray(window.frames).reshape(-1).data


def decode_window_parts(header: bytes, pixels: bytes) -> Window:
    """Put a window together from its header and its pixels. Its frames are a read-only view of `pixels`.

    Raises:
        DecodeError: these are not the two parts of one window.
    """
    values, rest = _unpack(b"W", header)
    if rest:
        raise DecodeError("a window's header has bytes after its end")
    frame_ids, regions = values.counts("frame_ids"), values.texts("regions")
    return Window(
        id=_window_id(values),
        live=values.flag("live"),
        first_pts_s=values.number("first_pts_s"),
        last_pts_s=values.number("last_pts_s"),
        captured_at=values.moment("captured_at"),
        produced_at=values.moment("produced_at"),
        frame_ids=frame_ids,
        regions=regions,
        frames=_frames(pixels, values.counts("shape"), regions=len(regions), frames=len(frame_ids)),
    )


def encode_window(window: Window) -> bytes:
    """Encode a window as one piece."""
    return encode_window_header(window) + window_pixels(window)


def decode_window(data: bytes) -> Window:
    """Decode what `encode_window` gave.

    Raises:
        DecodeError: `data` is not one window.
    """
    end = _header_end(data)
    return decode_window_parts(data[:end], data[end:])


def encode_scores(scores: Scores) -> bytes:
    header = {
        **_id_header(scores.id),
        "generation": scores.generation,
        "status": scores.status.value,
        "live": scores.live,
        "first_pts_s": scores.first_pts_s,
        "last_pts_s": scores.last_pts_s,
        "captured_at": scores.captured_at,
        "produced_at": scores.produced_at,
        "scored_at": scores.scored_at,
        "regions": list(scores.regions),
        "prompts": list(scores.prompts),
        "model_name": scores.model_name,
        "model_sha256": scores.model_sha256,
    }
    if scores.traceparent:
        header["traceparent"] = scores.traceparent
    if scores.same_as is not None:
        header["same_as"] = scores.same_as
    return _pack(b"S", header, scores.logits.astype("<f4", copy=False).tobytes())


def decode_scores(data: bytes) -> Scores:
    """Decode what `encode_scores` gave.

    Raises:
        DecodeError: `data` is not scores.
    """
    values, body = _unpack(b"S", data)
    regions, prompts = values.texts("regions"), values.texts("prompts")
    return Scores(
        id=_window_id(values),
        generation=values.count("generation"),
        status=values.choice("status", ScoreStatus),
        live=values.flag("live"),
        first_pts_s=values.number("first_pts_s"),
        last_pts_s=values.number("last_pts_s"),
        captured_at=values.moment("captured_at"),
        produced_at=values.moment("produced_at"),
        scored_at=values.moment("scored_at"),
        regions=regions,
        prompts=prompts,
        logits=_logits(body, regions=len(regions), prompts=len(prompts)),
        model_name=values.text("model_name"),
        model_sha256=values.text("model_sha256"),
        traceparent=values.traceparent(),
        same_as=values.missing_or_count("same_as"),
    )


def encode_message(message: Message) -> bytes:
    header = {
        "message_id": message.message_id,
        "source_id": message.source_id,
        "committed_at": message.committed_at,
    }
    return _pack(b"M", header, message.body)


def decode_message(data: bytes) -> Message:
    """Decode what `encode_message` gave.

    Raises:
        DecodeError: `data` is not a message.
    """
    values, body = _unpack(b"M", data)
    return Message(
        message_id=values.plain_text("message_id"),
        source_id=values.text("source_id"),
        body=body,
        committed_at=values.moment("committed_at"),
    )


def encode_picture(picture: Picture) -> bytes:
    return _pack(b"P", {"captured_at": picture.captured_at}, picture.jpeg)


def decode_picture(data: bytes) -> Picture:
    """Decode what `encode_picture` gave.

    Raises:
        DecodeError: `data` is not a picture.
    """
    values, jpeg = _unpack(b"P", data)
    return Picture(captured_at=values.moment("captured_at"), jpeg=jpeg)


def encode_source_status(status: SourceStatus) -> bytes:
    return _pack(b"I", _plain(status))


def decode_source_status(data: bytes) -> SourceStatus:
    """Decode what `encode_source_status` gave.

    Raises:
        DecodeError: `data` is not the status of a source.
    """
    values, _ = _unpack(b"I", data)
    return SourceStatus(
        source_id=values.text("source_id"),
        state=values.choice("state", SourceState),
        live=values.flag("live"),
        fps=values.number("fps"),
        position_s=values.number("position_s"),
        duration_s=values.optional_number("duration_s"),
        windows=values.count("windows"),
        dropped=values.count("dropped"),
        lag_s=values.number("lag_s"),
        error=values.text("error"),
        updated_at=values.moment("updated_at"),
        evidence_made=values.count("evidence_made"),
        evidence_failed=values.count("evidence_failed"),
        unchanged=values.missing_or_count("unchanged") or 0,
        window_step=values.missing_or_count("window_step") or 1,
        idle=values.missing_or_choice("idle", IdleState),
        decoded_share=values.missing_or_number("decoded_share", 1.0),
    )


def encode_rule_status(status: RuleStatus) -> bytes:
    return _pack(b"R", _plain(status))


def decode_rule_status(data: bytes) -> RuleStatus:
    """Decode what `encode_rule_status` gave.

    Raises:
        DecodeError: `data` is not the rule status of a source.
    """
    values, _ = _unpack(b"R", data)
    return RuleStatus(
        source_id=values.text("source_id"),
        windows=values.count("windows"),
        dropped=values.count("dropped"),
        expired=values.count("expired"),
        failed=values.count("failed"),
        position_s=values.number("position_s"),
        top_rule=values.text("top_rule"),
        top_score=values.number("top_score"),
        open_events=values.count("open_events"),
        events=values.count("events"),
        updated_at=values.moment("updated_at"),
        unchanged=values.missing_or_count("unchanged") or 0,
    )


class _Header:
    """The header of a value whose every field is asked for by its type."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def text(self, key: str) -> str:
        return _text(key, self._values.get(key))

    def plain_text(self, key: str) -> str:
        """Return a text that may stand in a header of HTTP and in an environment."""
        text = self.text(key)
        return text if text.isascii() and text.isprintable() else _refuse(key, "a plain text")

    def traceparent(self) -> str:
        """Return the trace that the value is in; empty where it is in none."""
        text = self.text("traceparent") if "traceparent" in self._values else ""
        return text if not text or re.fullmatch(TRACEPARENT, text) else _refuse("traceparent", "one")

    def number(self, key: str) -> float:
        value = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            _refuse(key, "a number")
        try:
            number = float(value)
        except OverflowError:
            _refuse(key, "a finite number")
        return number if math.isfinite(number) else _refuse(key, "a finite number")

    def moment(self, key: str) -> float:
        at = self.number(key)
        return at if is_moment(at) else _refuse(key, "a time")

    def optional_number(self, key: str) -> float | None:
        return None if key in self._values and self._values[key] is None else self.number(key)

    def count(self, key: str) -> int:
        return _count(key, self._values.get(key))

    def missing_or_count(self, key: str) -> int | None:
        return self.count(key) if key in self._values else None

    def flag(self, key: str) -> bool:
        value = self._values.get(key)
        return value if isinstance(value, bool) else _refuse(key, "true or false")

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(_text(key, item) for item in self._items(key))

    def counts(self, key: str) -> tuple[int, ...]:
        return tuple(_count(key, item) for item in self._items(key))

    def choice(self, key: str, kind: type[E]) -> E:
        try:
            return kind(self.text(key))
        except ValueError:
            _refuse(key, f"a {kind.__name__}")

    def missing_or_choice(self, key: str, kind: type[E]) -> E | None:
        return None if self._values.get(key) is None else self.choice(key, kind)

    def missing_or_number(self, key: str, otherwise: float) -> float:
        return self.number(key) if key in self._values else otherwise

    def _items(self, key: str) -> list[object]:
        value = self._values.get(key)
        return value if isinstance(value, list) else _refuse(key, "a list")


def _refuse(key: str, wanted: str) -> NoReturn:
    raise DecodeError(f"the field {key} is not {wanted}")


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or _has_half_character(value):
        _refuse(key, "a text")
    return value


def _has_half_character(text: str) -> bool:
    """Tell whether a text holds half a surrogate pair, which JSON can write and UTF-8 cannot."""
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _count(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        _refuse(key, "a count")
    return value


def _pack(kind: bytes, header: Mapping[str, object], body: bytes = b"") -> bytes:
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return b"".join((_PREFIX.pack(_MAGIC, VERSION, kind, len(text)), text, body))


def _unpack(kind: bytes, data: bytes) -> tuple[_Header, bytes]:
    end = _header_end(data)
    if data[3:4] != kind:
        raise DecodeError(f"expected a value of the kind {kind!r}, not {data[3:4]!r}")
    try:
        values: object = json.loads(data[_PREFIX.size : end])
    except (ValueError, RecursionError) as error:
        raise DecodeError("the header is not JSON") from error
    if not isinstance(values, dict):
        raise DecodeError("the header is not a JSON object")
    return _Header(values), data[end:]


def _header_end(data: bytes) -> int:
    if len(data) < _PREFIX.size:
        raise DecodeError("too short to be a value of the queue")
    magic, version, _, length = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise DecodeError("not a value of the queue")
    if version != VERSION:
        raise DecodeError(f"a value of version {version}, and this package reads version {VERSION}")
    end: int = _PREFIX.size + length
    if end > len(data):
        raise DecodeError("a value was cut short")
    return end


def _plain(status: SourceStatus | RuleStatus) -> dict[str, Any]:
    return {field.name: getattr(status, field.name) for field in fields(status)}


def _id_header(window_id: WindowId) -> dict[str, object]:
    return {"source_id": window_id.source_id, "epoch": window_id.epoch, "seq": window_id.seq}


def _window_id(values: _Header) -> WindowId:
    return WindowId(values.text("source_id"), values.text("epoch"), values.count("seq"))


def _frames(pixels: bytes, shape: Sequence[int], *, regions: int, frames: int) -> Pixels:
    if len(shape) != 5 or shape[0] != regions or shape[1] != frames or shape[4] != 3:
        raise DecodeError(f"frames of shape {list(shape)} do not fit {regions} regions and {frames} frame ids")
    if max(shape[2:4]) > _MAX_SIDE_PX or math.prod(shape) != len(pixels):
        raise DecodeError(f"{len(pixels)} bytes are not frames of shape {list(shape)}")
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _logits(body: bytes, *, regions: int, prompts: int) -> Logits:
    if len(body) != 4 * regions * prompts:
        raise DecodeError(f"{len(body)} bytes are not the logits of {regions} regions and {prompts} prompts")
    return np.frombuffer(body, "<f4").astype(np.float32, copy=False).reshape(regions, prompts)
