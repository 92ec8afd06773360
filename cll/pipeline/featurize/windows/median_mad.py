"""Median and median absolute deviation of each row's window: what a burst in it hardly moves."""

from dataclasses import dataclass

import numpy as np

from cll.types.arrays import Floats, Integers

NORMAL = 1.4826  # of normal values, the standard deviation in median absolute deviations


@dataclass(frozen=True)
class Middle:
    """What is known of each row's window; NaN where nothing is there."""

    count: Integers
    median: Floats
    deviation: Floats  # the median of the absolute deviations from the median


def middle(values: Floats, low: Integers, stop: Integers) -> Middle:
    """Take the rows from `low` up to but not including `stop`, which both rise; NaN is missing.

    Costs rows times what is moved in a window to keep it in order, and depends on its values alone.

    >>> middle(np.array([1.0, 2.0, 9.0]), np.array([0]), np.array([3])).deviation
    array([1.])
    """
    from cll.pipeline.featurize.windows import running_median

    found = Middle(np.empty(len(low), np.int64), *np.empty((2, len(low))))
    running_median.middle(
        np.ascontiguousarray(values), low, stop, found.count, found.median, found.deviation
    )
    return found
