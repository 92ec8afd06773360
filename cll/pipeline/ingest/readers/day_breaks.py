"""Where a new day begins in lines that lie in order of time, found by a few looks.

A day that is read as a whole is written once. Nothing else depends on it: a date is whatever is
written like one, first in a line, and lines that lie in another order have no turn.
"""

import os
import re
from itertools import pairwise

_DATE = re.compile(rb"\b[12]\d{3}-[01]\d-[0-3]\d")
_LOOK = 2**12  # bytes; no turn is looked for where lines are longer
_LOOKS = 16  # that have to be in order


def turn(handle: int | bytes, start: int, stop: int) -> int | None:
    """Return where the last day that lines within [start, stop) tell of begins, of several.

    The lines are those of an open file, or of a text.

    It follows from these bytes alone: whatever is appended, the answer stays.
    """
    places = [start + (stop - start) * i // _LOOKS for i in range(1, _LOOKS)]
    seen = [(at, found[1]) for at in places if (found := _line(handle, at, stop))]
    if len(seen) < len(places) or any(one > other for (_, one), (_, other) in pairwise(seen)):
        return None
    newest = seen[-1][1]
    low = max((at for at, date in seen if date < newest), default=None)
    if low is None:
        return None
    high = min(at for at, date in seen if date == newest)
    while high - low > 1:
        middle = (low + high) // 2
        found = _line(handle, middle, stop)
        if found is None:
            return None
        low, high = (middle, high) if found[1] < newest else (low, middle)
    return found[0] if (found := _line(handle, high, stop)) else None


def is_whole(handle: int, stop: int, size: int) -> bool:
    """Tell whether the line that `stop` falls into, or ends, has its newline within `size`."""
    return stop <= size and b"\n" in os.pread(handle, min(_LOOK, size - stop + 1), stop - 1)


def _line(handle: int | bytes, at: int, stop: int) -> tuple[int, bytes] | None:
    """Return where the first line behind `at` starts, and its date, where it ends before `stop`."""
    size = min(_LOOK, stop - at)
    text = os.pread(handle, size, at) if isinstance(handle, int) else handle[at : at + size]
    begin = text.find(b"\n") + 1
    date = _DATE.search(text, begin, text.find(b"\n", begin) if begin else 0)
    return (at + begin, date[0]) if date else None
