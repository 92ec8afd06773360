"""Mean, spread, slope and extremes of event-time windows, merged from the two halves of each.

Moments climb each block once from either side (Welford 1962) and merge pairwise (Chan 1979). As
nothing is subtracted from a longer sum, no digit is lost to a level shift outside the window, and
a result depends on its window's rows alone, to the last bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cll.values import Flags, Floats
from cll.windows.rolling import HOUR, Blocks, Integers


@dataclass(frozen=True)
class Column:
    """Values, 0 where missing, and how many of them are there before each row."""

    values: Floats
    there: Flags
    before: Integers  # one longer than values

    @property
    def whole(self) -> bool:
        return bool(self.before[-1] == len(self.values))


def column(values: Floats) -> Column:
    """Take NaN and infinities as missing."""
    there = np.isfinite(values)
    return Column(np.where(there, values, 0.0), there, np.append(0, np.cumsum(there)))


@dataclass(frozen=True)
class Moments:
    """Moments of values: at each place of a climb, or of each row's window."""

    mean: Floats
    square: Floats  # sum of squared deviations from the mean


@dataclass(frozen=True)
class Way:
    """One way through all blocks: the moments of what is there up to each place."""

    place: Integers  # of each row
    weight: Floats | None  # 1 over the number of values up to here, 0 where missing; None: whole
    values: Moments
    hours: Moments
    cross: Floats  # sum of products of both deviations


@dataclass(frozen=True)
class Climb:
    """Both ways through all blocks."""

    blocks: Blocks
    column: Column
    up: Way
    down: Way


@dataclass(frozen=True)
class Seam:
    """Where the two halves of each row's window meet: the same for columns with the same gaps."""

    count: Integers
    from_end: Integers  # place of the older half in the way down, -1 where it is empty
    from_start: Integers  # place of the younger half in the way up
    share: Floats  # of the younger half
    weight: Floats  # of a squared difference between the halves
    hours: Floats  # sum of squared deviations of the window's times
    hours_gap: Floats  # between the halves' mean times


@dataclass(frozen=True)
class Window:
    """What is known of each row's window."""

    seam: Seam
    values: Moments
    cross: Floats

    @property
    def count(self) -> Integers:
        return self.seam.count


def climb(blocks: Blocks, column: Column, clock: Climb | None = None) -> Climb:
    """Climb all blocks from both sides; a column with the same gaps lends its hours."""
    up = column.before[1:] - column.before[blocks.head]
    down = column.before[blocks.tail] - column.before[:-1]
    return Climb(
        blocks,
        column,
        _climb(blocks, column, (blocks.up, up), clock.up if clock else None),
        _climb(blocks, column, (blocks.down, down), clock.down if clock else None),
    )


def _climb(
    blocks: Blocks, column: Column, way: tuple[Integers, Integers], clock: Way | None
) -> Way:
    place, count = way
    weight = None
    if not column.whole:
        weight = _put(blocks, place, column.there / np.maximum(count, 1))
    hours = clock.hours if clock else _moments(blocks, _put(blocks, place, blocks.hours), weight)
    x = _put(blocks, place, column.values)
    values = _moments(blocks, x, weight)
    cross = np.zeros(blocks.places + 1)
    for table, steps in _tables(blocks):
        t = _put(blocks, place, blocks.hours)[table].reshape(steps, -1)
        rise = _left(x[table].reshape(steps, -1), values.mean[table].reshape(steps, -1))
        rise *= t - hours.mean[table].reshape(steps, -1)
        _pile(rise, weight, table, cross)
    return Way(place, weight, values, hours, cross)


def _put(blocks: Blocks, place: Integers, values: Floats) -> Floats:
    """Lay values out as the tables are; the last place, of no row, stays empty."""
    laid = np.zeros(blocks.places + 1)
    laid[place] = values
    return laid


def _tables(blocks: Blocks) -> Iterator[tuple[slice, int]]:
    for offset, steps, across in blocks.tables:
        yield slice(offset, offset + steps * across), steps


def _moments(blocks: Blocks, laid: Floats, weight: Floats | None) -> Moments:
    mean, square = np.zeros_like(laid), np.zeros_like(laid)
    for table, steps in _tables(blocks):
        x, m = laid[table].reshape(steps, -1), mean[table].reshape(steps, -1)
        w = 1 / np.arange(1.0, steps + 1) if weight is None else weight[table].reshape(steps, -1)
        step = np.empty(x.shape[1])
        m[0] = x[0]
        for i in range(1, steps):
            np.subtract(x[i], m[i - 1], out=step)
            step *= w[i]
            np.add(m[i - 1], step, out=m[i])
        rise = _left(x, m)
        rise *= x - m
        _pile(rise, weight, table, square)
    return Moments(mean, square)


def _left(x: Floats, mean: Floats) -> Floats:
    """Return each value's deviation from the mean before it."""
    left = x.copy()
    left[1:] -= mean[:-1]
    return left


def _pile(rise: Floats, weight: Floats | None, table: slice, into: Floats) -> None:
    """Sum `rise` up along the steps, leaving out what is missing."""
    if weight is not None:
        rise *= weight[table].reshape(rise.shape) > 0
    for i in range(1, len(rise)):
        rise[i] += rise[i - 1]
    into[table] = rise.ravel()


def window(climb: Climb, stop: Integers, like: Window | None = None) -> Window:
    """Merge the window of each row, up to but not including row `stop`, which is in its block.

    A window of the same rows over a column with the same gaps lends its seam.
    """
    seam = like.seam if like else _seam(climb, stop)
    down, up = climb.down.values, climb.up.values
    left = down.mean[seam.from_end]
    gap = up.mean[seam.from_start] - left
    bend = gap * seam.weight
    square = down.square[seam.from_end] + up.square[seam.from_start] + gap * bend
    cross = climb.down.cross[seam.from_end] + climb.up.cross[seam.from_start]
    return Window(seam, Moments(left + gap * seam.share, square), cross + bend * seam.hours_gap)


def _seam(climb: Climb, stop: Integers) -> Seam:
    blocks, before = climb.blocks, climb.column.before
    left = before[blocks.head] - before[blocks.low]
    right = before[stop] - before[blocks.head]
    from_end = np.where(left > 0, climb.down.place[np.minimum(blocks.low, len(stop) - 1)], -1)
    from_start = np.where(right > 0, climb.up.place[stop - 1], -1)
    share = right / np.maximum(left + right, 1)
    weight = left * share
    down, up = climb.down.hours, climb.up.hours
    gap = up.mean[from_start] - down.mean[from_end] + (left > 0) * (blocks.width / HOUR)
    hours = down.square[from_end] + up.square[from_start] + gap * gap * weight
    return Seam(left + right, from_end, from_start, share, weight, hours, gap)


def mean(window: Window) -> Floats:
    """Return the mean; NaN where nothing is there."""
    return np.where(window.count > 0, window.values.mean, np.nan)


def std(window: Window) -> Floats:
    """Return the sample standard deviation (of n - 1); NaN below two values."""
    spread = np.sqrt(window.values.square / np.maximum(window.count - 1, 1))
    return np.where(window.count > 1, spread, np.nan)


def slope(window: Window) -> Floats:
    """Return the least-squares slope per hour; NaN where all values are of one time."""
    span = window.seam.hours
    return np.where(span > 0, window.cross / np.where(span > 0, span, 1), np.nan)


def extreme(blocks: Blocks, column: Column, pick: np.ufunc, stop: Integers) -> Floats:
    """Return the minimum (`np.minimum`) or maximum of each row's window up to row `stop`."""
    nothing = np.inf if pick is np.minimum else -np.inf
    values = np.where(column.there, column.values, nothing)
    ways = []
    for place in (blocks.up, blocks.down):
        laid = np.full(blocks.places + 1, nothing)
        laid[place] = values
        for table, steps in _tables(blocks):
            best = laid[table].reshape(steps, -1)
            for i in range(1, steps):
                pick(best[i], best[i - 1], out=best[i])
        ways.append(laid)
    last = len(values) - 1
    from_end = np.where(blocks.low < blocks.head, blocks.down[np.minimum(blocks.low, last)], -1)
    from_start = np.where(blocks.head < stop, blocks.up[stop - 1], -1)
    found = pick(ways[0][from_start], ways[1][from_end])
    return np.where(np.isinf(found), np.nan, found)
