"""The NAL units that packets of H.264 and HEVC consist of, whichever way they are held together. Pure.

In MP4 and its like each has its length before it, and how many bytes that is says the box of the stream (ISO 14496-15);
elsewhere each stands behind a start code (ITU-T H.264 and H.265, annex B).
"""

from collections.abc import Iterator

_LENGTH_AT = {"h264": 4, "hevc": 21}
"""Where in the box the length of lengths stands."""

_SEQUENCE_SET = {"h264": (0x1F, 7), "hevc": (0x7E, 33 << 1)}
"""Which bits of a unit say its kind, and what those of a sequence parameter set are."""


def length_bytes(codec: str, extradata: bytes) -> int:
    """Return of how many bytes the length before each unit of a stream is; 0 where start codes stand instead."""
    return (extradata[_LENGTH_AT[codec]] & 3) + 1 if _is_box(codec, extradata) else 0


def units_of(data: bytes, length_bytes: int) -> Iterator[memoryview]:
    """Yield the units of a packet."""
    return _units_of_lengths(data, length_bytes) if length_bytes else _units_between_codes(data)


def parameter_sets(extradata: bytes) -> Iterator[memoryview]:
    """Yield the parameter sets beside an H.264 stream. It ends with an IndexError where they are cut off."""
    return _units_of_avc_box(extradata) if _is_box("h264", extradata) else _units_between_codes(extradata)


def sequence_sets(codec: str, packet: bytes) -> bytes:
    """Return the sequence parameter sets in a packet whose units stand behind start codes; b"" where there are none."""
    mask, kind = _SEQUENCE_SET[codec]
    return b"".join(unit for unit in _units_between_codes(packet) if unit[0] & mask == kind)


def _is_box(codec: str, extradata: bytes) -> bool:
    return len(extradata) > _LENGTH_AT[codec] + 2 and extradata[0] == 1


def _units_of_lengths(data: bytes, length_bytes: int) -> Iterator[memoryview]:
    view, at = memoryview(data), 0
    while at + length_bytes < len(data):
        size = int.from_bytes(view[at : at + length_bytes], "big")
        at += length_bytes
        if size:
            yield view[at : at + size]
        at += size


def _units_between_codes(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    begin = data.find(b"\0\0\1")
    while begin >= 0:
        end = data.find(b"\0\0\1", begin + 3)
        unit = view[begin + 3 : end if end >= 0 else len(data)]
        if unit:
            yield unit
        begin = end


def _units_of_avc_box(extradata: bytes) -> Iterator[memoryview]:
    view, at = memoryview(extradata), 5
    for mask in (31, 255):
        count, at = view[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(view[at : at + 2], "big")
            yield view[at + 2 : at + 2 + size]
            at += 2 + size
