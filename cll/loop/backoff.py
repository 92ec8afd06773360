"""When the loop wakes: at whole multiples of its interval, and sooner, yet ever later, after failures."""

from datetime import UTC, datetime, timedelta

_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)


def grid(now: datetime, every: timedelta) -> datetime:
    """Return the last instant that is a whole multiple of `every`, counted from 1970 in UTC.

    >>> grid(datetime(2026, 1, 31, 14, 59, tzinfo=UTC), timedelta(hours=6)).hour
    12
    """
    return now - (now - _ORIGIN) % every


def until_next(now: datetime, every: timedelta) -> timedelta:
    """Return how long it is to the next multiple: more than nothing, and `every` at most."""
    return grid(now, every) + every - now


def back_off(failures: int, first: timedelta, most: timedelta, draw: float) -> timedelta:
    """Return how long to wait after so many failures in a row; `draw` is in [0, 1).

    It doubles from `first` up to `most`, and is then cut by up to a half, by chance: so that many
    that failed together do not come back together.

    >>> back_off(3, timedelta(minutes=1), timedelta(hours=1), draw=0.5).total_seconds()
    180.0
    """
    enough = int(most / first).bit_length()  # doublings that reach `most`
    doublings: int = min(failures - 1, enough)
    return min(first * (1 << doublings), most) * (1 - draw / 2)
