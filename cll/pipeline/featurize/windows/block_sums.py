"""Loops that sum up windows: each is the end of one block of rows and the beginning of the next."""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import from_dtype, types

from cll.pipeline.featurize.windows.jit import FLOATS, INTEGERS, compiled
from cll.types.arrays import Floats, Integers

MEAN, STD, SLOPE, MIN, MAX, MISSING, Z, RATIO, CHANGE = range(9)  # as moments.STATISTICS has them
_HOUR = 3.6e9  # microseconds
_LAID = 8  # numbers of Sums that lie in a row of `older`


class Column(NamedTuple):
    time: Integers  # microseconds since 1970
    values: Floats  # NaN and infinities are missing
    width: int  # microseconds


class Asked(NamedTuple):
    """Where in `out` each statistic stands, -1 if nowhere; and what a z-score needs."""

    places: Integers
    least: float  # values of the past
    floor: float  # of their standard deviation
    out: Floats  # (statistics, rows)


class Sums(NamedTuple):
    """Of values and times, counted from a value and a time of their own."""

    base: float
    since: int
    size: float
    x: float
    xx: float
    t: float
    xt: float
    tt: float
    low: float
    high: float


@compiled()
def _none(base: float, since: int) -> Sums:
    """Return the sums of nothing; NaN: they will count from the first that is added."""
    return Sums(base, since, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, math.inf, -math.inf)


@compiled()
def _with(sums: Sums, column: Column, row: int) -> Sums:
    value, time = column.values[row], column.time[row]
    if not math.isfinite(value):
        return sums
    base, since = (value, time) if math.isnan(sums.base) else (sums.base, sums.since)
    x, t, shown = value - base, float(time - since), value + 0.0  # 0 for -0
    return Sums(
        base,
        since,
        sums.size + 1.0,
        sums.x + x,
        sums.xx + x * x,
        sums.t + t,
        sums.xt + x * t,
        sums.tt + t * t,
        min(sums.low, shown),
        max(sums.high, shown),
    )


@compiled()
def _joined(sums: Sums, older: Floats) -> Sums:
    return Sums(
        sums.base,
        sums.since,
        sums.size + older[0],
        sums.x + older[1],
        sums.xx + older[2],
        sums.t + older[3],
        sums.xt + older[4],
        sums.tt + older[5],
        min(sums.low, older[6]),
        max(sums.high, older[7]),
    )


@compiled()
def _descend(column: Column, start: int, stop: int, older: Floats) -> int:
    """Sum up from each row to the last; return the row of the last value, from which they count."""
    sums, last = _none(math.nan, 0), -1
    for row in range(stop - 1, start - 1, -1):
        sums = _with(sums, column, row)
        if last < 0 and sums.size > 0.0:
            last = row
        laid = older[row - start]
        laid[0], laid[1], laid[2], laid[3] = sums.size, sums.x, sums.xx, sums.t
        laid[4], laid[5], laid[6], laid[7] = sums.xt, sums.tt, sums.low, sums.high
    return last


@compiled()
def _std(sums: Sums) -> float:
    """Return the sample standard deviation (of n - 1); NaN below two values."""
    if sums.size < 2.0:  # noqa: PLR2004
        return math.nan
    square = sums.xx - sums.x * sums.x / sums.size
    return math.sqrt(max(square, 0.0) / (sums.size - 1.0))


@compiled()
def _slope(sums: Sums) -> float:
    """Return the least-squares slope per hour; NaN where all values are of one time."""
    if sums.size < 2.0:  # noqa: PLR2004
        return math.nan
    span = sums.tt - sums.t * sums.t / sums.size
    return (sums.xt - sums.x * sums.t / sums.size) / span * _HOUR if span > 0.0 else math.nan


@compiled()
def _fill(asked: Asked, place: int, start: int, stop: int, value: float) -> None:
    if place >= 0:
        for row in range(start, stop):
            asked.out[place, row] = value


@compiled()
def _show(asked: Asked, sums: Sums, start: int, stop: int, rows: int) -> None:
    """Write what rows that tie see in a window of so many rows."""
    there = sums.size > 0.0
    mean = sums.base + sums.x / sums.size if there else math.nan
    _fill(asked, asked.places[MEAN], start, stop, mean)
    if asked.places[STD] >= 0:
        _fill(asked, asked.places[STD], start, stop, _std(sums))
    if asked.places[SLOPE] >= 0:
        _fill(asked, asked.places[SLOPE], start, stop, _slope(sums))
    _fill(asked, asked.places[MIN], start, stop, sums.low if there else math.nan)
    _fill(asked, asked.places[MAX], start, stop, sums.high if there else math.nan)
    _fill(asked, asked.places[MISSING], start, stop, 1.0 - sums.size / rows)


@compiled()
def _compare(asked: Asked, sums: Sums, column: Column, start: int, stop: int) -> None:
    """Write how rows that tie compare with the window before them."""
    level = sums.x / sums.size if sums.size > 0.0 else math.nan
    mean = sums.base + level
    scale = max(_std(sums), asked.floor) if sums.size >= asked.least else 0.0
    for row in range(start, stop):
        value = column.values[row]
        change = value - sums.base - level
        _fill(asked, asked.places[CHANGE], row, row + 1, change)
        _fill(asked, asked.places[Z], row, row + 1, change / scale if scale > 0.0 else math.nan)
        ratio = value / mean if mean != 0.0 else math.nan
        _fill(asked, asked.places[RATIO], row, row + 1, ratio)


@compiled()
def _block(
    column: Column, asked: Asked, older: Floats, bounds: tuple[int, int, int], low: int, last: int
) -> int:
    """Work a block's rows, of windows that begin in the older one; return where the last begins.

    Sums count from the older block's last value, if it is in the window, or else from the younger's
    first.
    """
    start, head, tail = bounds
    time, row = column.time, head
    sums = _none(column.values[last], time[last]) if last >= 0 else _none(math.nan, 0)
    past = asked.places[Z] >= 0 or asked.places[RATIO] >= 0 or asked.places[CHANGE] >= 0
    while row < tail:
        stop = row + 1
        while stop < tail and time[stop] == time[row]:
            stop += 1
        while time[row] - time[low] >= column.width:
            low += 1
        if last >= 0 and low > last:
            sums, last = _none(math.nan, 0), -1
            for again in range(head, row):
                sums = _with(sums, column, again)
        if past:
            seen = _joined(sums, older[low - start]) if last >= 0 else sums
            _compare(asked, seen, column, row, stop)
        for tied in range(row, stop):
            sums = _with(sums, column, tied)
        seen = _joined(sums, older[low - start]) if last >= 0 else sums
        _show(asked, seen, row, stop, stop - low)
        row = stop
    return low


def _windows(
    time: Integers,
    bounds: Integers,
    values: Floats,
    width: int,
    places: Integers,
    least: float,
    floor: float,
    out: Floats,
) -> None:
    """Write statistics of each row's window, of entities that begin and end at `bounds`."""
    column, asked = Column(time, values, width), Asked(places, least, floor, out)
    longest = 0
    for entity in range(len(bounds) - 1):
        longest = max(longest, bounds[entity + 1] - bounds[entity])
    older = np.empty((longest, _LAID))
    for entity in range(len(bounds) - 1):
        start, end = bounds[entity], bounds[entity + 1]
        head, low = start, start
        while head < end:
            until, tail = (time[head] // width + 1) * width, head
            while tail < end and time[tail] < until:
                tail += 1
            last = _descend(column, start, head, older)
            low = _block(column, asked, older, (start, head, tail), low, last)
            start, head = head, tail


@cache
def windows(kind: "np.dtype[np.floating]") -> Callable[..., None]:
    """Return the loop that writes floats of that kind."""
    integer, real, out = types.int64, types.float64, types.Array(from_dtype(kind), 2, "C")
    given = (INTEGERS, INTEGERS, FLOATS, integer, INTEGERS, real, real, out)
    return compiled(types.void(*given))(_windows)
