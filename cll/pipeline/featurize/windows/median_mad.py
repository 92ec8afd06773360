"""Median and median absolute deviation of each row's window; a burst of outliers hardly moves them."""

from dataclasses import dataclass

import numpy as np

from cll.types.arrays import Floats, Integers

NORMAL = 1.4826  # standard deviation of a normal distribution, in median absolute deviations


@dataclass(frozen=True)
class MedianMad:
    """Count, median and deviation of each row's window; NaN where the window has no value."""

    count: Integers
    median: Floats
    deviation: Floats  # the median of the absolute deviations from the median


def compute(values: Floats, low: Integers, stop: Integers) -> MedianMad:
    """Return the statistics of the rows from `low` up to but not including `stop`, both ascending.

    NaN is missing. Each window is kept sorted, so the time is proportional to rows times the values
    moved per row. The result depends on the window's values alone.

    >>> compute(np.array([1.0, 2.0, 9.0]), np.array([0]), np.array([3])).deviation
    array([1.])
    """
    from cll.pipeline.featurize.windows import running_median

    result = MedianMad(np.empty(len(low), np.int64), *np.empty((2, len(low))))
    running_median.compute(
        np.ascontiguousarray(values), low, stop, result.count, result.median, result.deviation
    )
    return result
