"""Find the byte at which a new day begins in time-ordered lines, by sampling and bisection.

A cut between days is only an optimisation: a day that is read at once is written once. So a date is
simply the first text in a line that looks like one. Lines in another order have no day break.
"""

import os
import re
from itertools import pairwise

_DATE = re.compile(rb"\b[12]\d{3}-[01]\d-[0-3]\d")
_LOOK = 2**12  # bytes of a sample; longer lines have no day break
_LOOKS = 16  # samples, which have to be in order of time


def last_day_start(handle: int | bytes, start: int, stop: int) -> int | None:
    """Return where the last day within [start, stop) begins; None if there is only one day.

    `handle` is an open file, or a text. The result depends on these bytes only, so appending to the
    file does not change it.
    """
    places = [start + (stop - start) * i // _LOOKS for i in range(1, _LOOKS)]
    dated = [(at, line[1]) for at in places if (line := _line(handle, at, stop))]
    if len(dated) < len(places) or any(
        earlier > later for (_, earlier), (_, later) in pairwise(dated)
    ):
        return None
    newest = dated[-1][1]
    low = max((at for at, date in dated if date < newest), default=None)
    if low is None:
        return None
    high = min(at for at, date in dated if date == newest)
    while high - low > 1:
        middle = (low + high) // 2
        line = _line(handle, middle, stop)
        if line is None:
            return None
        low, high = (middle, high) if line[1] < newest else (low, middle)
    return line[0] if (line := _line(handle, high, stop)) else None


def is_whole(handle: int, stop: int, size: int) -> bool:
    """Return whether the line around `stop`, or ending at it, has its newline within `size`."""
    return stop <= size and b"\n" in os.pread(handle, min(_LOOK, size - stop + 1), stop - 1)


def _line(handle: int | bytes, at: int, stop: int) -> tuple[int, bytes] | None:
    """Return start and date of the first line after `at`; None if it does not end before `stop`."""
    size = min(_LOOK, stop - at)
    text = os.pread(handle, size, at) if isinstance(handle, int) else handle[at : at + size]
    begin = text.find(b"\n") + 1
    date = _DATE.search(text, begin, text.find(b"\n", begin) if begin else 0)
    return (at + begin, date[0]) if date else None
