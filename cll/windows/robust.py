"""Median and median absolute deviation of each row's window: what a burst in it hardly moves."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cll.values import Floats
from cll.windows.rolling import Integers

NORMAL = 1.4826  # of normal values, the standard deviation in median absolute deviations
_CELLS = 100_000  # of rows times their windows, worked at once: they fit a processor's cache


@dataclass(frozen=True)
class Middle:
    """What is known of each row's window; NaN where nothing is there."""

    count: Integers
    median: Floats
    deviation: Floats  # the median of the absolute deviations from the median


def middle(values: Floats, low: Integers, stop: Integers) -> Middle:
    """Take the rows from `low` up to but not including `stop`, of each row; NaN is missing.

    Costs rows times the rows of a window, and depends on a window's values alone.

    >>> middle(np.array([1.0, 2.0, 9.0]), np.array([0]), np.array([3])).deviation
    array([1.])
    """
    size = len(low)
    found = Middle(np.zeros(size, np.int64), np.full(size, np.nan), np.full(size, np.nan))
    there = np.append(np.where(np.isfinite(values), values, np.inf), np.inf)
    for part in _parts(stop - low):
        row = low[part, None] + np.arange(max(1, int((stop - low)[part].max())))
        laid = there[np.where(row < stop[part, None], row, len(values))]
        count = np.isfinite(laid).sum(axis=1)
        laid.sort(axis=1)
        median = _median(laid, count)
        np.abs(laid - median[:, None], out=laid)  # what is missing stays infinite
        laid.sort(axis=1)
        found.count[part], found.median[part] = count, median
        found.deviation[part] = _median(laid, count)
    return found


def _parts(lengths: Integers) -> Iterator[slice]:
    step = max(1, _CELLS // max(1, int(lengths.max(initial=1))))
    for start in range(0, len(lengths), step):
        yield slice(start, start + step)


def _median(laid: Floats, count: Integers) -> Floats:
    """Return the median of the first `count` values of each sorted line."""
    low, high = (
        np.take_along_axis(laid, np.maximum(half, 0)[:, None], axis=1)[:, 0]
        for half in ((count - 1) // 2, np.minimum(count // 2, laid.shape[1] - 1))
    )
    known = count > 0
    low, high = np.where(known, low, 0.0), np.where(known, high, 0.0)
    return np.where(known, low + (high - low) / 2, np.nan)
