from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.videos import steady, write_video
from xclip_stream.sources.encoded import EncodedPacket, Head
from xclip_stream.sources.packet_ring import PacketRing, PacketTap

HEAD = Head("h264", 320, 240, b"", b"")


def packet(at: float, *, is_key: bool = False, size: int = 10) -> EncodedPacket:
    return EncodedPacket(at, at, 0.0, is_key, bytes(size), HEAD)


def fill(ring: PacketRing, count: int, *, key_every: int = 5, size: int = 10, first: int = 0) -> None:
    """Add ten packets a second."""
    for number in range(first, first + count):
        ring.add(packet(number / 10, is_key=number % key_every == 0, size=size))


def times(found: list[tuple[int, EncodedPacket]]) -> list[float]:
    return [each.at for _, each in found]


def test_a_ring_holds_the_last_seconds_and_the_rest_of_the_interval_before() -> None:
    ring = PacketRing(span_s=2.0, max_bytes=10_000)
    fill(ring, 100)

    held = times(ring.since(0.0))
    assert (held[0], held[-1]) == (7.5, 9.9)
    assert ring.num_bytes == 10 * len(held)


def test_a_ring_never_holds_more_bytes_than_it_may() -> None:
    ring = PacketRing(span_s=1000.0, max_bytes=300)
    fill(ring, 100)

    assert ring.num_bytes <= 300
    assert times(ring.since(0.0))[0] == 7.0


def test_a_key_frame_interval_that_is_too_large_is_given_up_and_the_next_one_held() -> None:
    ring = PacketRing(span_s=1000.0, max_bytes=300)
    ring.add(packet(0.0, is_key=True))
    fill(ring, 100, first=1, key_every=1000)
    assert ring.num_bytes <= 300

    ring.add(packet(11.0, is_key=True))
    assert times(ring.since(0.0)) == [11.0]


def test_what_is_read_begins_with_the_key_frame_before() -> None:
    ring = PacketRing(span_s=100.0, max_bytes=10_000)
    fill(ring, 30)

    assert times(ring.since(1.2))[0] == 1.0
    assert times(ring.since(1.0))[0] == 1.0
    assert times(ring.since(-5.0))[0] == 0.0


def test_who_follows_a_ring_gets_each_packet_once() -> None:
    ring = PacketRing(span_s=100.0, max_bytes=10_000)
    fill(ring, 7)
    ((number, _), *_) = reversed(ring.since(0.0))
    fill(ring, 3, first=7)

    assert times(ring.after(number)) == [0.7, 0.8, 0.9]
    assert ring.after(9) == []


def test_who_follows_too_slowly_goes_on_with_a_key_frame() -> None:
    ring = PacketRing(span_s=1.0, max_bytes=10_000)
    fill(ring, 100)

    found = ring.after(3)
    assert found[0][1].is_key
    assert found[0][1].at > 8


def test_a_clock_that_is_set_back_does_not_make_the_ring_grow() -> None:
    ring = PacketRing(span_s=2.0, max_bytes=1_000_000)
    fill(ring, 100, first=1000)
    fill(ring, 100, first=0)

    assert len(ring.since(-1.0)) <= 100 + 30
    fill(ring, 100, first=100)
    assert len(ring.since(-1.0)) <= 30


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 120), st.floats(-1.0, 3.0)), max_size=60))
def test_a_ring_is_bounded_and_begins_with_a_key_frame_whatever_comes(
    coming: list[tuple[bool, int, float]],
) -> None:
    ring, at = PacketRing(span_s=4.0, max_bytes=400), 0.0
    for is_key, size, step_s in coming:
        at += step_s
        ring.add(packet(at, is_key=is_key, size=size))
        held = ring.since(float("-inf"))
        assert ring.num_bytes == sum(len(each.data) for _, each in held) <= 400
        assert not held or held[0][1].is_key


def test_a_tap_tells_when_packets_are_decoded_where_pictures_come_in_another_order(tmp_path: Path) -> None:
    options = {"g": "25", "bf": "2", "x264-params": "b-adapt=0"}
    path = write_video(tmp_path / "clip.mp4", steady(25, 1), options=options)
    ring, at = PacketRing(span_s=100.0, max_bytes=1_000_000), 10.0
    tap = PacketTap(ring, now=lambda: 5000.0 + at, monotonic=lambda: at)
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            tap.add(packet)
            at += 0.04

    held = [each for _, each in ring.since(0.0)]
    assert [after.at - before.at for before, after in pairwise(held)] == pytest.approx([0.04] * 24)
    assert {each.shown_after_s > 0.04 for each in held} == {True, False}
