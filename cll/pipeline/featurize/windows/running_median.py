"""Loops over windows that are kept in order: their medians."""

import math

import numpy as np
from numba import types

from cll.pipeline.featurize.windows.jit import FLOATS, INTEGERS, compiled
from cll.types.arrays import Floats, Integers


@compiled()
def _place(window: Floats, count: int, value: float) -> int:
    """Return how many of the first values, which rise, are less."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if window[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled()
def _distance(window: Floats, count: int, center: float, rank: int) -> float:
    """Return the `rank`-th smallest distance to `center`, from 1: its values lie side by side."""
    low, high = 0, count - rank
    while low < high:
        middle = (low + high) // 2
        if center - window[middle] > window[middle + rank] - center:
            low = middle + 1
        else:
            high = middle
    least, most = center - window[low], window[low + rank - 1] - center
    return float(max(least, most))


@compiled()
def _between(low: float, high: float) -> float:
    """Return what lies in the middle."""
    return low + (high - low) / 2.0


@compiled()
def _enter(window: Floats, size: int, value: float) -> int:
    """Return the size of a window that one more value is in; what is missing stays outside."""
    if not math.isfinite(value):
        return size
    at = _place(window, size, value)
    for place in range(size, at, -1):
        window[place] = window[place - 1]
    window[at] = value
    return size + 1


@compiled()
def _leave(window: Floats, size: int, value: float) -> int:
    if not math.isfinite(value):
        return size
    for place in range(_place(window, size, value), size - 1):
        window[place] = window[place + 1]
    return size - 1


@compiled()
def _middle(window: Floats, size: int) -> tuple[float, float]:
    """Return the median and the median of the distances to it."""
    if size == 0:
        return math.nan, math.nan
    below, above = (size + 1) // 2, size // 2 + 1
    center = _between(window[below - 1], window[above - 1])
    least = _distance(window, size, center, below)
    return center, _between(least, _distance(window, size, center, above))


_COUNTS, _FIGURES = types.int64[::1], types.float64[::1]


@compiled(types.void(FLOATS, INTEGERS, INTEGERS, _COUNTS, _FIGURES, _FIGURES))
def middle(
    values: Floats,
    low: Integers,
    stop: Integers,
    count: Integers,
    median: Floats,
    deviation: Floats,
) -> None:
    """Write the median of the rows from `low` to before `stop`, which both rise, and the deviation.

    A window is kept in order while rows enter and leave it.
    """
    longest = 0
    for row in range(len(low)):
        longest = max(longest, stop[row] - low[row])
    window, size, begin, end = np.empty(longest), 0, 0, 0
    for row in range(len(low)):
        if low[row] >= end:
            size, begin, end = 0, low[row], low[row]
        for leaving in range(begin, low[row]):
            size = _leave(window, size, values[leaving])
        for entering in range(end, stop[row]):
            size = _enter(window, size, values[entering])
        begin, end = low[row], stop[row]
        count[row] = size
        median[row], deviation[row] = _middle(window, size)
