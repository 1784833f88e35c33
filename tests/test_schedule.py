from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_stream.schedule import Schedule, parse_clock, parse_days

BERLIN = ZoneInfo("Europe/Berlin")
# In 2026 Berlin's clocks jump from 02:00 to 03:00 on Sunday 29 March, and from 03:00 to 02:00 on Sunday 25 October.


def berlin(text: str, *, fold: int = 0) -> float:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=BERLIN, fold=fold).timestamp()


def schedule(opens: str, closes: str, days: str = "mon-sun") -> Schedule:
    return Schedule.parse(days=days, opens=opens, closes=closes, timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", {0}),
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("sat-mon", {5, 6, 0}),
        ("mon, Wed,sat-sun", {0, 2, 5, 6}),
        (["tue", "thu-fri"], {1, 3, 4}),
    ],
)
def test_days_are_written_as_names_ranges_and_lists(text, days):
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "monday", "mon-", "mon-wed-fri", "1-5"])
def test_what_is_no_day_is_named(text):
    with pytest.raises(ValueError, match="mon-fri"):
        parse_days(text)


@pytest.mark.parametrize("text", ["", "25:00", "24:01", "8 pm", "12:60", "12", "12:00:00"])
def test_what_is_no_time_of_day_is_named(text):
    with pytest.raises(ValueError, match="20:00"):
        parse_clock(text)


@pytest.mark.parametrize("name", ["Berlin", "", "../etc/passwd", "Europe", "/etc/localtime"])
def test_what_is_no_time_zone_is_named(name):
    with pytest.raises(ValueError, match="Europe/Berlin"):
        Schedule.parse(days="mon", opens="08:00", closes="09:00", timezone=name)


def test_a_schedule_opens_on_the_minute_and_is_closed_at_the_minute_it_names():
    day = schedule("08:00", "17:30", "mon-fri")

    assert not day.is_open(berlin("01-05T07:59:59"))
    assert day.is_open(berlin("01-05T08:00:00"))
    assert day.is_open(berlin("01-05T17:29:59"))
    assert not day.is_open(berlin("01-05T17:30:00"))
    assert not day.is_open(berlin("01-04T12:00:00"))


def test_a_night_belongs_to_the_day_on_which_it_begins():
    friday_night = schedule("20:00", "06:00", "fri")

    assert friday_night.is_open(berlin("01-09T20:00"))
    assert friday_night.is_open(berlin("01-10T05:59"))
    assert not friday_night.is_open(berlin("01-10T20:00"))
    assert not friday_night.is_open(berlin("01-09T05:00"))


@pytest.mark.parametrize(("opens", "closes"), [("00:00", "24:00"), ("07:00", "07:00")])
def test_a_schedule_may_last_all_day(opens, closes):
    always = schedule(opens, closes)

    assert all(always.is_open(berlin(f"01-07T{hour:02}:00")) for hour in range(24))


def test_a_night_in_which_the_clock_jumps_ahead_is_an_hour_shorter():
    night = schedule("20:00", "06:00")

    assert open_hours(night, "03-28T12:00", "03-29T12:00") == 9
    assert not night.is_open(berlin("03-29T06:00"))


def test_a_night_in_which_an_hour_comes_twice_is_an_hour_longer():
    night = schedule("20:00", "06:00")

    assert open_hours(night, "10-24T12:00", "10-25T12:00") == 11


def test_a_time_that_the_clock_jumps_over_is_reached_by_the_jump():
    early = schedule("02:30", "04:00")
    late = schedule("01:00", "02:30")

    assert not early.is_open(berlin("03-29T01:59:59"))
    assert early.is_open(berlin("03-29T03:00:00"))
    assert late.is_open(berlin("03-29T01:59:59"))
    assert not late.is_open(berlin("03-29T03:00:00"))


def test_of_an_hour_that_comes_twice_the_schedule_opens_at_the_first_and_closes_at_the_second():
    opening, closing = schedule("02:30", "05:00"), schedule("01:00", "02:30")

    assert not opening.is_open(berlin("10-25T02:29:59"))
    assert opening.is_open(berlin("10-25T02:30:00"))
    assert opening.is_open(berlin("10-25T02:10:00", fold=1))
    assert closing.is_open(berlin("10-25T02:40:00"))
    assert closing.is_open(berlin("10-25T02:29:59", fold=1))
    assert not closing.is_open(berlin("10-25T02:30:00", fold=1))


@given(opens=st.times(), closes=st.times(), day=st.sampled_from(["03-28", "03-29", "10-24", "10-25", "10-31"]))
def test_a_schedule_opens_at_most_once_in_a_day(opens, closes, day):
    once = Schedule(frozenset(range(7)), opens.replace(second=0), closes.replace(second=0), "Europe/Berlin")
    start = berlin(f"{day}T12:00")

    states = [once.is_open(start + 300 * minute) for minute in range(12 * 23)]

    assert sum(not before and after for before, after in pairwise(states)) <= 1


def open_hours(of: Schedule, first: str, last: str) -> float:
    return sum(of.is_open(at) for at in range(int(berlin(first)), int(berlin(last)), 600)) / 6
