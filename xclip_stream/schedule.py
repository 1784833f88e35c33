"""When a rule is awake: days of the week and hours, by the clock on the wall of a place."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Schedule:
    """One stretch of time on each of `days` (0 is Monday), from `opens` to `closes`, by local time in `timezone`.

    A stretch that closes at or before the time at which it opens runs into the next day, and belongs to the day on
    which it opened. It is one stretch even when the clocks change: in the hour that an autumn night has twice it opens
    at the first reading and closes at the second, and a reading that a spring night skips counts as reached when the
    clock jumps over it.
    """

    days: frozenset[int]
    opens: time
    closes: time
    timezone: str = "UTC"

    @classmethod
    def parse(cls, *, days: str | Iterable[str], opens: str, closes: str, timezone: str) -> Self:
        """Read a schedule as people write it: `mon-fri`, `20:00`, `06:00`, `Europe/Berlin`.

        Raises:
            ValueError: a part cannot be read; the message says which.
        """
        _zone(timezone)
        return cls(parse_days(days), parse_clock(opens), parse_clock(closes), timezone)

    def is_open(self, at: float) -> bool:
        """Tell whether the schedule is open at event time `at`, Unix seconds."""
        zone = _zone(self.timezone)
        wall = datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None)
        return any(self._is_open_from(wall.date() - timedelta(days=back), wall, at, zone) for back in (0, 1))

    def _is_open_from(self, day: date, wall: datetime, at: float, zone: ZoneInfo) -> bool:
        if day.weekday() not in self.days:
            return False
        over_midnight = timedelta(days=1 if self.closes <= self.opens else 0)
        opens, closes = datetime.combine(day, self.opens), datetime.combine(day, self.closes) + over_midnight
        return _reached(opens, wall, at, zone, fold=0) and not _reached(closes, wall, at, zone, fold=1)


def parse_days(days: str | Iterable[str]) -> frozenset[int]:
    """Read days of the week, `mon-fri`, `sat,sun` or a list of such; a range may run over Sunday. 0 is Monday.

    Raises:
        ValueError: a day is not one of mon, tue, wed, thu, fri, sat, sun.
    """
    texts = days.split(",") if isinstance(days, str) else days
    return frozenset(day for text in texts for day in _day_range(text))


def parse_clock(text: str) -> time:
    """Read a time of day, `20:00`; `24:00` is the midnight that ends the day.

    Raises:
        ValueError: it is not a time of day.
    """
    if text == "24:00":
        return time(0, 0)
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time of day: write it like '20:00'")
    return time(int(match[1]), int(match[2]))


def _day_range(text: str) -> list[int]:
    names = [name.strip().lower() for name in text.split("-")]
    if len(names) > 2 or not all(name in DAYS for name in names):
        raise ValueError(f"{text.strip()!r} is no day and no range of days: write {', '.join(DAYS)}, or like 'mon-fri'")
    first, last = DAYS.index(names[0]), DAYS.index(names[-1])
    return [(first + n) % 7 for n in range((last - first) % 7 + 1)]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone: write it like 'Europe/Berlin' or 'UTC'") from error


def _reached(reading: datetime, wall: datetime, at: float, zone: ZoneInfo, *, fold: int) -> bool:
    """Tell whether the clock has shown `reading` by now; of one that it shows twice, the `fold`-th counts."""
    first, second = (reading.replace(tzinfo=zone, fold=n).timestamp() for n in (0, 1))
    if first < second:  # PEP 495: the two differ this way round in a repeated hour only
        return at >= (second if fold else first)
    return wall >= reading
