"""Compiled loops for the statistics of event-time windows, from running sums per block.

Time is cut into blocks as long as the window. A window then covers the end of one block (the older
one) and the beginning of the next. Sums of the older part are computed once per block, backwards
from its last row; sums of the younger part grow row by row.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import from_dtype, types

from cll.pipeline.featurize.windows.jit import FLOATS, INTEGERS, compiled
from cll.types.arrays import Floats, Integers

MEAN, STD, SLOPE, MIN, MAX, MISSING, Z, RATIO, CHANGE = range(9)  # in moments.STATISTICS' order
_HOUR = 3.6e9  # microseconds
_SUMS = 8  # columns of `older`: the fields of Sums after `base` and `since`


class WindowColumn(NamedTuple):
    time: Integers  # microseconds since 1970
    values: Floats  # NaN and infinities are missing
    width: int  # microseconds


class Output(NamedTuple):
    """The array to write to, the place of each statistic in it, and the limits of a z-score."""

    places: Integers  # row of `out` for each statistic; -1 where it is not wanted
    least: float  # number of values that a z-score needs
    floor: float  # lower limit of the standard deviation
    out: Floats  # (statistics, rows)


class Sums(NamedTuple):
    """Sums over a window: of values minus `base` (x) and of times minus `since` (t)."""

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
def _empty_sums(base: float, since: int) -> Sums:
    """Return sums of no rows; with a NaN `base`, the first value added becomes the base."""
    return Sums(base, since, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, math.inf, -math.inf)


@compiled()
def _add_row(sums: Sums, column: WindowColumn, row: int) -> Sums:
    value, time = column.values[row], column.time[row]
    if not math.isfinite(value):
        return sums
    base, since = (value, time) if math.isnan(sums.base) else (sums.base, sums.since)
    x, t, unsigned = value - base, float(time - since), value + 0.0  # -0 becomes 0
    return Sums(
        base,
        since,
        sums.size + 1.0,
        sums.x + x,
        sums.xx + x * x,
        sums.t + t,
        sums.xt + x * t,
        sums.tt + t * t,
        min(sums.low, unsigned),
        max(sums.high, unsigned),
    )


@compiled()
def _merge(sums: Sums, older: Floats) -> Sums:
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
def _sum_backwards(column: WindowColumn, start: int, stop: int, older: Floats) -> int:
    """Fill `older` with the sums from each row to the last; return the last row that has a value.

    That row's value and time are the base of all these sums. Returns -1 where no row has a value.
    """
    sums, last = _empty_sums(math.nan, 0), -1
    for row in range(stop - 1, start - 1, -1):
        sums = _add_row(sums, column, row)
        if last < 0 and sums.size > 0.0:
            last = row
        cells = older[row - start]
        cells[0], cells[1], cells[2], cells[3] = sums.size, sums.x, sums.xx, sums.t
        cells[4], cells[5], cells[6], cells[7] = sums.xt, sums.tt, sums.low, sums.high
    return last


@compiled()
def _std(sums: Sums) -> float:
    """Return the sample standard deviation (divided by n - 1); NaN below two values."""
    if sums.size < 2.0:  # noqa: PLR2004
        return math.nan
    square = sums.xx - sums.x * sums.x / sums.size
    return math.sqrt(max(square, 0.0) / (sums.size - 1.0))


@compiled()
def _slope(sums: Sums) -> float:
    """Return the least-squares slope per hour; NaN where all values have the same time."""
    if sums.size < 2.0:  # noqa: PLR2004
        return math.nan
    span = sums.tt - sums.t * sums.t / sums.size
    return (sums.xt - sums.x * sums.t / sums.size) / span * _HOUR if span > 0.0 else math.nan


@compiled()
def _fill(output: Output, place: int, start: int, stop: int, value: float) -> None:
    if place >= 0:
        for row in range(start, stop):
            output.out[place, row] = value


@compiled()
def _write_statistics(output: Output, sums: Sums, start: int, stop: int, rows: int) -> None:
    """Write the statistics of tied rows, whose window has `rows` rows."""
    has_values = sums.size > 0.0
    mean = sums.base + sums.x / sums.size if has_values else math.nan
    _fill(output, output.places[MEAN], start, stop, mean)
    if output.places[STD] >= 0:
        _fill(output, output.places[STD], start, stop, _std(sums))
    if output.places[SLOPE] >= 0:
        _fill(output, output.places[SLOPE], start, stop, _slope(sums))
    _fill(output, output.places[MIN], start, stop, sums.low if has_values else math.nan)
    _fill(output, output.places[MAX], start, stop, sums.high if has_values else math.nan)
    _fill(output, output.places[MISSING], start, stop, 1.0 - sums.size / rows)


@compiled()
def _write_comparisons(
    output: Output, sums: Sums, column: WindowColumn, start: int, stop: int
) -> None:
    """Write change, z-score and ratio of tied rows against the window before them."""
    level = sums.x / sums.size if sums.size > 0.0 else math.nan
    mean = sums.base + level
    scale = max(_std(sums), output.floor) if sums.size >= output.least else 0.0
    for row in range(start, stop):
        value = column.values[row]
        change = value - sums.base - level
        _fill(output, output.places[CHANGE], row, row + 1, change)
        _fill(output, output.places[Z], row, row + 1, change / scale if scale > 0.0 else math.nan)
        ratio = value / mean if mean != 0.0 else math.nan
        _fill(output, output.places[RATIO], row, row + 1, ratio)


@compiled()
def _write_block(
    column: WindowColumn,
    output: Output,
    older: Floats,
    bounds: tuple[int, int, int],
    low: int,
    last: int,
) -> int:
    """Write the statistics of a block's rows; return the first row of the last window.

    The base of the sums is the older block's last value while the window holds it, then the first
    value of the younger block.
    """
    start, head, tail = bounds
    time, row = column.time, head
    sums = _empty_sums(column.values[last], time[last]) if last >= 0 else _empty_sums(math.nan, 0)
    compares = output.places[Z] >= 0 or output.places[RATIO] >= 0 or output.places[CHANGE] >= 0
    while row < tail:
        stop = row + 1
        while stop < tail and time[stop] == time[row]:
            stop += 1
        while time[row] - time[low] >= column.width:
            low += 1
        if last >= 0 and low > last:
            sums, last = _empty_sums(math.nan, 0), -1
            for earlier in range(head, row):
                sums = _add_row(sums, column, earlier)
        if compares:
            window = _merge(sums, older[low - start]) if last >= 0 else sums
            _write_comparisons(output, window, column, row, stop)
        for tied in range(row, stop):
            sums = _add_row(sums, column, tied)
        window = _merge(sums, older[low - start]) if last >= 0 else sums
        _write_statistics(output, window, row, stop, stop - low)
        row = stop
    return low


def _write_windows(
    time: Integers,
    bounds: Integers,
    values: Floats,
    width: int,
    places: Integers,
    least: float,
    floor: float,
    out: Floats,
) -> None:
    """Write the statistics of each row's window; an entity's rows lie between two `bounds`."""
    column, output = WindowColumn(time, values, width), Output(places, least, floor, out)
    longest = 0
    for entity in range(len(bounds) - 1):
        longest = max(longest, bounds[entity + 1] - bounds[entity])
    older = np.empty((longest, _SUMS))
    for entity in range(len(bounds) - 1):
        start, end = bounds[entity], bounds[entity + 1]
        head, low = start, start
        while head < end:
            until, tail = (time[head] // width + 1) * width, head
            while tail < end and time[tail] < until:
                tail += 1
            last = _sum_backwards(column, start, head, older)
            low = _write_block(column, output, older, (start, head, tail), low, last)
            start, head = head, tail


@cache
def compile_loop(kind: "np.dtype[np.floating]") -> Callable[..., None]:
    """Return the compiled loop that writes floats of that kind."""
    integer, real, out = types.int64, types.float64, types.Array(from_dtype(kind), 2, "C")
    arguments = (INTEGERS, INTEGERS, FLOATS, integer, INTEGERS, real, real, out)
    return compiled(types.void(*arguments))(_write_windows)
