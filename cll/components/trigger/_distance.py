"""How far the values of one window lie from those of reference windows, in units of their own unrest.

A window is described by the share of its rows up to each of some quantiles of all reference rows,
and by the share that is missing. How far a share may stray is learnt from the reference windows,
not from the number of rows: rows of one entity or hour are alike, and weekdays are not. The
distance is the mean square of the strayings, an Anderson-Darling distance whose weights are
measured; each reference window's own is taken with that window left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cll.components.trigger._significance import Usual, usual
from cll.types.arrays import Floats

# Failures are rare, and what announces them lies in the tails.
QUANTILES = (0.002, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.998)
_LEAST_DISTANCE = 1e-3  # where all reference windows are the same
_LEAST_SPREAD = 0.05  # of the distances' logarithms, which are about normal


@dataclass(frozen=True, eq=False)
class Reference:
    """What the reference windows of one series show."""

    cuts: Floats
    mean: Floats  # share of rows, by cut, then of those missing
    variance: Floats  # between windows
    distances: Usual  # their logarithms
    rows: int  # of a middling window

    @property
    def count(self) -> int:
        return self.distances.count

    def p_value(self, values: Floats) -> float:
        """Return how often a window is as far off by chance; NaN for one of under half the rows."""
        if 2 * len(values) < self.rows:
            return float("nan")
        apart = (shares(values, self.cuts) - self.mean) ** 2
        expected = self.variance * (1 + 1 / self.count)
        return self.distances.tail(_distance(apart / expected))


def learn(windows: Sequence[Floats]) -> Reference:
    """Learn from the values of at least three windows, oldest first; NaN is a missing value."""
    together = np.concatenate(windows)
    seen = together[~np.isnan(together)]
    cuts = np.unique(np.quantile(seen, QUANTILES)) if len(seen) else np.zeros(0)
    rows = int(np.median([len(one) for one in windows]))
    stray = np.array([shares(one, cuts) for one in windows])
    count, floor = len(windows), 1 / max(rows, 1) ** 2  # nothing strays by less than a row
    mean = stray.mean(axis=0)
    squares = ((stray - mean) ** 2).sum(axis=0)
    others_mean = (count * mean - stray) / (count - 1)
    others = (squares - (stray - mean) ** 2 * count / (count - 1)) / (count - 2)
    expected = np.maximum(others, floor) * count / (count - 1)
    left_out = [_distance(one) for one in (stray - others_mean) ** 2 / expected]
    variance = np.maximum(squares / (count - 1), floor)
    return Reference(cuts, mean, variance, usual(left_out, _LEAST_SPREAD), rows)


def shares(values: Floats, cuts: Floats) -> Floats:
    """Return the share of values up to each cut, then the share that is missing.

    >>> shares(np.array([1.0, 2.0, 3.0, np.nan]), np.array([1.5, 9.0])).tolist()
    [0.25, 0.75, 0.25]
    """
    counts = [np.count_nonzero(values <= cut) for cut in cuts]
    return np.array([*counts, np.count_nonzero(np.isnan(values))]) / len(values)


def _distance(apart: Floats) -> float:
    """Return the logarithm of the mean square."""
    return math.log(max(float(apart.mean()), _LEAST_DISTANCE))
