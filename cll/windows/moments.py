"""Mean, spread, slope and extremes of event-time windows, joined from the two halves of each.

The older half of a window ends with a block and the younger half begins with one, so sums climb
each block once from either side. They count from a value and a time of the window itself: the first
of the younger half, or the last of the older half where the younger holds none. No digit is lost to
a level far from 0 or to a level shift outside the window, and a result depends on its window's
rows alone, to the last bit. Counts and sums of times are whole numbers, whose differences are exact.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cll.values import Floats
from cll.windows.climb import TT, XT, XX, Climb, X
from cll.windows.columns import Columns, column
from cll.windows.rolling import HOUR, Blocks, Integers
from cll.windows.scratch import Scratch

__all__ = ["column"]


@dataclass(frozen=True)
class Window:
    """What is known of each row's window; sums count from a value and a time of the window."""

    sums: Floats  # by kind
    base: Floats  # the value that they count from
    count: Floats
    times: Floats | None  # the sum of times
    scratch: Scratch
    name: str  # of its arrays there

    @cached_property
    def level(self) -> Floats:
        """Return the mean, counted from the base; NaN where nothing is there."""
        with np.errstate(invalid="ignore"):
            np.divide(self.sums[X], self.count, out=(level := self.out("level")))
        return level

    def out(self, name: str) -> Floats:
        return self.scratch.floats(self.name + name, *self.base.shape)


def climb(blocks: Blocks, columns: Columns, scratch: Scratch | None = None) -> Climb:
    return Climb(blocks, columns, scratch or Scratch())


def window(climb: Climb, stop: Integers, name: str = "") -> Window:
    """Sum up the window of each row, up to but not including row `stop`; it ends in its block."""
    blocks, columns, scratch = climb.blocks, climb.columns, climb.scratch
    sums = _joined(climb, stop, name)
    count = _between(columns.before, climb, stop, "count")
    base = scratch.floats(f"{name}base", *count.shape)
    climb.base.take(blocks.of, axis=0, out=base, mode="clip")
    cell = climb.without_younger(stop)
    cell = (cell[0][count[cell] > 0], cell[1][count[cell] > 0])
    last = np.zeros(0, np.int64)
    if len(cell[0]):
        sums[:, *cell], last = climb.alone(blocks.low[cell[0]], cell[1])
        base[cell] = columns.values[last, cell[1]]
    times = None
    if columns.time is not None and columns.elapsed is not None:
        since = scratch.integers("since", *count.shape)
        columns.time[climb.first].take(blocks.of, axis=0, out=since, mode="clip")
        since[cell] = columns.time[last]
        np.multiply(since, count, out=since)
        passed = _between(columns.elapsed, climb, stop, "passed")
        np.subtract(passed, since, out=passed)
        times = _kept(passed, climb, f"{name}times")
    base, sums = base.reshape(columns.shape), sums.reshape(len(sums), *columns.shape)
    return Window(sums, base, _kept(count, climb, f"{name}count"), times, scratch, name)


def _kept(numbers: Integers, climb: Climb, name: str) -> Floats:
    floats = climb.scratch.floats(name, *numbers.shape)
    floats[:] = numbers
    return floats.reshape(climb.columns.shape)


def _between(running: Integers, climb: Climb, stop: Integers, name: str) -> Integers:
    """Return the difference of a running sum over each row's window."""
    shape = climb.columns.values.shape
    total = climb.scratch.integers(name, *shape)
    older = climb.scratch.integers("older", *shape)
    running.take(stop, axis=0, out=total, mode="clip")
    running.take(climb.blocks.low, axis=0, out=older, mode="clip")
    return np.subtract(total, older, out=total)


def _joined(climb: Climb, stop: Integers, name: str) -> Floats:
    """Add the sums over both halves of each row's window."""
    rows, many = climb.columns.values.shape
    kinds = climb.up.shape[1] // many
    start, end = (place * kinds for place in climb.blocks.places(stop))
    sums = climb.scratch.floats(f"{name}sums", kinds, rows, many)
    older = climb.scratch.floats("older", rows, many)
    up, down = (laid.reshape(-1, many) for laid in (climb.up, climb.down))
    for kind, total in enumerate(sums):
        up[kind:].take(end, axis=0, out=total, mode="clip")
        down[kind:].take(start, axis=0, out=older, mode="clip")
        np.add(total, older, out=total)
    return sums


def mean(window: Window) -> Floats:
    """Return the mean; NaN where nothing is there."""
    found = window.out("mean")
    np.add(window.level, window.base, out=found)
    return found


def std(window: Window) -> Floats:
    """Return the sample standard deviation (of n - 1); NaN below two values."""
    square: Floats = np.multiply(window.sums[X], window.level, out=window.out("std"))
    np.subtract(window.sums[XX], square, out=square)
    np.maximum(square, 0.0, out=square)
    with np.errstate(invalid="ignore"):
        np.divide(square, np.subtract(window.count, 1, out=window.out("by")), out=square)
    np.sqrt(square, out=square)
    return square


def slope(window: Window) -> Floats:
    """Return the least-squares slope per hour; NaN where all values are of one time."""
    found, span = window.out("slope"), window.out("by")
    if window.times is None:
        found.fill(np.nan)
        return found
    with np.errstate(invalid="ignore"):
        np.divide(window.times, window.count, out=span)
        np.multiply(span, window.times, out=span)
        np.subtract(window.sums[TT], span, out=span)
        np.multiply(window.level, window.times, out=found)
        np.subtract(window.sums[XT], found, out=found)
        np.divide(found, span, out=found)  # of one time 0 / 0: they count from it
    np.multiply(found, HOUR, out=found)
    return found


def extreme(
    blocks: Blocks,
    columns: Columns,
    pick: np.ufunc,
    stop: Integers,
    scratch: Scratch | None = None,
) -> Floats:
    """Return the minimum (`np.minimum`) or maximum of each row's window up to row `stop`."""
    scratch, (rows, many) = scratch or Scratch(), columns.values.shape
    nothing = np.inf if pick is np.minimum else -np.inf
    values = scratch.floats("made", rows, many)
    values[:] = columns.values
    values.reshape(-1)[columns.missing] = nothing
    up, down = (scratch.floats(name, rows + 1, many) for name in ("extremes up", "extremes down"))
    values.take(blocks.ladder.row, axis=0, out=up[:-1], mode="clip")
    up[-1] = nothing
    down[:] = up
    blocks.ladder.up(up, pick)
    blocks.ladder.down(down, pick)
    start, end = blocks.places(stop)
    found, older = scratch.floats(pick.__name__, rows, many), values
    up.take(end, axis=0, out=found, mode="clip")
    down.take(start, axis=0, out=older, mode="clip")
    pick(found, older, out=found)
    found[np.isinf(found)] = np.nan
    return found.reshape(columns.shape)
