"""The instants of a replay: when the loop would have turned."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cll.types.errors import DataRefused, config_error
from cll.types.times import Duration, format_duration, format_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Settings:
    """How a history is turned over: `first` is counted from its first row."""

    every: Duration = timedelta(days=1)
    first: Duration = timedelta(days=14)
    window: Duration = timedelta(days=7)

    def __post_init__(self) -> None:
        for name in ("every", "window"):
            if getattr(self, name) <= timedelta(0):
                raise config_error(f"replay.{name}", "0", "it spans some time; write 1d.")


def between(first_row: datetime, end: datetime, settings: Settings) -> list[datetime]:
    """List the instants up to `end`, which is the last one.

    >>> day = timedelta(days=1)
    >>> found = between(datetime(2026, 1, 1, 5, tzinfo=UTC), datetime(2026, 1, 4, 6, tzinfo=UTC),
    ...                 Settings(every=day, first=day))
    >>> [format_instant(one) for one in found]
    ['2026-01-03T00:00:00Z', '2026-01-04T00:00:00Z', '2026-01-04T06:00:00Z']
    """
    start = first_row + settings.first
    if start >= end:
        raise DataRefused(
            f"replay.first={format_duration(settings.first)}: the first tick would be at"
            f" {format_instant(start)}, and what is known ends at {format_instant(end)}; write less."
        )
    return [*_grid(start, end, settings.every), end]


def _grid(start: datetime, end: datetime, every: timedelta) -> Iterator[datetime]:
    instant = _EPOCH + -((_EPOCH - start) // every) * every
    while instant < end:
        yield instant
        instant += every
