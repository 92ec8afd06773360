"""Wake-up times of the loop: whole multiples of its interval, or a growing wait after failures."""

from datetime import UTC, datetime, timedelta

_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)


def grid(now: datetime, every: timedelta) -> datetime:
    """Return the last instant that is a whole multiple of `every`, counted from 1970 in UTC.

    >>> grid(datetime(2026, 1, 31, 14, 59, tzinfo=UTC), timedelta(hours=6)).hour
    12
    """
    return now - (now - _ORIGIN) % every


def until_next(now: datetime, every: timedelta) -> timedelta:
    """Return the time to the next multiple of `every`: more than zero, at most `every`."""
    return grid(now, every) + every - now


def back_off(failures: int, first: timedelta, most: timedelta, draw: float) -> timedelta:
    """Return the wait after this many failures in a row; `draw` is a random number in [0, 1).

    The wait doubles from `first` up to `most`. It is then shortened by up to a half at random, so
    that loops that failed at the same moment do not all retry at the same moment.

    >>> back_off(3, timedelta(minutes=1), timedelta(hours=1), draw=0.5).total_seconds()
    180.0
    """
    most_doublings = int(most / first).bit_length()  # doublings that reach `most`
    doublings: int = min(failures - 1, most_doublings)
    return min(first * (1 << doublings), most) * (1 - draw / 2)
