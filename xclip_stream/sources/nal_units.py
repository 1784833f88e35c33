"""The NAL units that packets of H.264 and HEVC consist of, whichever way they are held together. Pure.

In MP4 and its like each has its length before it, and how many bytes that is says the box of the stream (ISO 14496-15);
elsewhere each stands behind a start code (ITU-T H.264 and H.265, annex B).
"""

from collections.abc import Iterator


def is_box(extradata: bytes) -> bool:
    """Return whether a stream's extradata is the box of one whose units have their length before them."""
    return len(extradata) > 6 and extradata[0] == 1


def units_of_lengths(data: bytes, length_bytes: int) -> Iterator[memoryview]:
    """Yield the units of a packet in which each has its length before it."""
    view, at = memoryview(data), 0
    while at + length_bytes < len(data):
        size = int.from_bytes(view[at : at + length_bytes], "big")
        at += length_bytes
        if size:
            yield view[at : at + size]
        at += size


def units_between_codes(data: bytes) -> Iterator[memoryview]:
    """Yield the units that stand behind start codes."""
    view = memoryview(data)
    begin = data.find(b"\0\0\1")
    while begin >= 0:
        end = data.find(b"\0\0\1", begin + 3)
        unit = view[begin + 3 : end if end >= 0 else len(data)]
        if unit:
            yield unit
        begin = end


def units_of_avc_box(extradata: bytes) -> Iterator[memoryview]:
    """Yield the parameter sets in the box of an H.264 stream. It ends with an IndexError where it is cut off."""
    view, at = memoryview(extradata), 5
    for mask in (31, 255):
        count, at = view[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(view[at : at + 2], "big")
            yield view[at + 2 : at + 2 + size]
            at += 2 + size
