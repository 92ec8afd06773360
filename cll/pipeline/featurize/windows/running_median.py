"""Compiled loops for medians of sliding windows, whose values are kept sorted."""

import math

import numpy as np
from numba import types

from cll.pipeline.featurize.windows.jit import FLOATS, INTEGERS, compiled
from cll.types.arrays import Floats, Integers


@compiled()
def _place(window: Floats, count: int, value: float) -> int:
    """Return how many of the first `count` values, which are sorted, are less than `value`."""
    low, high = 0, count
    while low < high:
        compute = (low + high) // 2
        if window[compute] < value:
            low = compute + 1
        else:
            high = compute
    return low


@compiled()
def _distance(window: Floats, count: int, center: float, rank: int) -> float:
    """Return the `rank`-th smallest distance to `center`, counting from 1.

    The `rank` values nearest to the center are neighbours in the sorted window, so a binary search
    for the first of them is enough.
    """
    low, high = 0, count - rank
    while low < high:
        compute = (low + high) // 2
        if center - window[compute] > window[compute + rank] - center:
            low = compute + 1
        else:
            high = compute
    least, most = center - window[low], window[low + rank - 1] - center
    return float(max(least, most))


@compiled()
def _between(low: float, high: float) -> float:
    """Return the midpoint, without overflow."""
    return low + (high - low) / 2.0


@compiled()
def _enter(window: Floats, size: int, value: float) -> int:
    """Insert a value into the sorted window and return its new size; skip a missing value."""
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
def _median_and_mad(window: Floats, size: int) -> tuple[float, float]:
    """Return the median, and the median of the distances to it."""
    if size == 0:
        return math.nan, math.nan
    below, above = (size + 1) // 2, size // 2 + 1
    center = _between(window[below - 1], window[above - 1])
    least = _distance(window, size, center, below)
    return center, _between(least, _distance(window, size, center, above))


_COUNTS, _OUT = types.int64[::1], types.float64[::1]


@compiled(types.void(FLOATS, INTEGERS, INTEGERS, _COUNTS, _OUT, _OUT))
def compute(
    values: Floats,
    low: Integers,
    stop: Integers,
    count: Integers,
    median: Floats,
    deviation: Floats,
) -> None:
    """Write count, median and deviation of the rows from `low` to before `stop`, both ascending.

    The window stays sorted while rows enter and leave it.
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
        median[row], deviation[row] = _median_and_mad(window, size)
