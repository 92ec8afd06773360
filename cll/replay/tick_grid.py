"""Instants at which a replay runs a tick."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cll.types.errors import DataRefused, config_error
from cll.types.times import Duration, format_duration, format_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ReplaySettings:
    """ReplaySettings of a replay: ticks come `every` so often, the first one `first` after the first row.

    `window` is the length of time that one row of over_time.csv covers.
    """

    every: Duration = timedelta(days=1)
    first: Duration = timedelta(days=14)
    window: Duration = timedelta(days=7)

    def __post_init__(self) -> None:
        for name in ("every", "window"):
            if getattr(self, name) <= timedelta(0):
                raise config_error(f"replay.{name}", "0", "it must be longer than 0; write 1d.")


def between(first_row: datetime, end: datetime, settings: ReplaySettings) -> list[datetime]:
    """Return the instants of all ticks; `end` is always the last one.

    The other instants are whole multiples of `settings.every`, counted from 1970 in UTC.

    >>> day = timedelta(days=1)
    >>> ticks = between(datetime(2026, 1, 1, 5, tzinfo=UTC), datetime(2026, 1, 4, 6, tzinfo=UTC),
    ...                 ReplaySettings(every=day, first=day))
    >>> [format_instant(tick) for tick in ticks]
    ['2026-01-03T00:00:00Z', '2026-01-04T00:00:00Z', '2026-01-04T06:00:00Z']
    """
    start = first_row + settings.first
    if start >= end:
        raise DataRefused(
            f"replay.first={format_duration(settings.first)}: the first tick would be at"
            f" {format_instant(start)}, but the data end at {format_instant(end)}; write a"
            " shorter time."
        )
    return [*_grid(start, end, settings.every), end]


def _grid(start: datetime, end: datetime, every: timedelta) -> Iterator[datetime]:
    instant = _EPOCH + -((_EPOCH - start) // every) * every
    while instant < end:
        yield instant
        instant += every
