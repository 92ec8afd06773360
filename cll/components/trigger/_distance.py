"""Measure the distance between a window's values and reference windows, relative to their variation.

A window is described by the share of its rows at or below each of some cuts (quantiles of all
reference rows), the share at or above that cut, and the share of missing values. Both sides are
needed to detect a change of a point mass: if a column was always 1 and falls, its share at or below
1 stays the same. Only the order of values matters, and both directions count equally.

The expected variation of a share is estimated from the reference windows, not from the number of
rows, since rows of one entity or hour are correlated and weekdays differ. The distance is the mean
of the squared deviations, each divided by its variance: an Anderson-Darling distance with estimated
weights. The distance of a reference window itself is computed with that window left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cll.components.trigger._significance import Usual, usual
from cll.types.arrays import Flags, Floats

# Failures are rare, and their signs are in the tails. The quantiles above the median mirror these.
QUANTILES = (0.002, 0.01, 0.03, 0.1, 0.25, 0.5)
_ATOM = 0.05  # a value that this share of the reference rows have is a cut of its own
_LEAST_DISTANCE = 1e-3  # lower bound, needed if all reference windows are the same
_LEAST_SPREAD = 0.05  # lower bound for the spread of log distances, which are about normal
_ROUNDING = 1e-9  # distances that differ by less are equal


@dataclass(frozen=True, eq=False)
class Reference:
    """Shares of the reference windows of one series, and their variation."""

    cuts: Floats  # (cuts, 2): rows at or below the first value, and at or above the second, count
    mean: Floats  # mean shares over windows, in the order of `shares`
    variance: Floats  # variance of each share between windows
    distances: Usual  # distribution of the windows' log distances
    ranks: Floats  # the log distances themselves if they may be far from normal; else empty
    rows: int  # median number of rows of a window

    @property
    def count(self) -> int:
        return self.distances.count

    def p_value(self, values: Floats) -> float:
        """Return the p-value of a window's distance.

        NaN if the window has under half the usual rows.
        """
        if 2 * len(values) < self.rows:
            return float("nan")
        deviations = shares(values, self.cuts) - self.mean
        distance = _distance(_squares(deviations, self.variance, self.rows, self.count))
        as_far = np.count_nonzero(self.ranks >= distance - _ROUNDING)
        least = (1 + as_far) / (1 + self.count) if as_far else 0.0
        return max(self.distances.tail(distance), least)


def learn(windows: Sequence[Floats]) -> Reference:
    """Estimate a reference from at least three windows, oldest first; NaN means a missing value."""
    together = np.concatenate(windows)
    cuts = _cuts(np.sort(together[~np.isnan(together)]))
    rows = max(int(np.median([len(window) for window in windows])), 1)
    observed = np.array([shares(window, cuts) for window in windows])
    count, mean = len(windows), observed.mean(axis=0)
    squares = ((observed - mean) ** 2).sum(axis=0)
    variance = squares / (count - 1)
    # Mean and variance of the other windows, for each window that is left out.
    others_mean = (count * mean - observed) / (count - 1)
    others_variance = (squares - (observed - mean) ** 2 * count / (count - 1)) / (count - 2)
    deviations = _squares(observed - others_mean, others_variance, rows, count - 1)
    left_out = np.array([_distance(window) for window in deviations])
    # If most shares are constant in most windows, log distances are far from normal: the few windows
    # with a change lie far from the rest. Then a p-value is at least the one of the window's rank.
    constant = 2 * (observed == np.sort(observed, axis=0)[count // 2]).sum(axis=0) >= count
    ranks = left_out if 2 * constant[:-1].sum() >= len(constant) - 1 else np.zeros(0)
    return Reference(cuts, mean, variance, usual(left_out.tolist(), _LEAST_SPREAD), ranks, rows)


def shares(values: Floats, cuts: Floats) -> Floats:
    """Return the shares at or below each cut, those at or above each cut, and the missing share.

    >>> shares(np.array([1.0, 2.0, 3.0, np.nan]), np.array([[1.0, 2.0], [3.0, 3.0]])).tolist()
    [0.25, 0.75, 0.5, 0.25, 0.25]
    """
    up_to = [np.count_nonzero(values <= low) for low in cuts[:, 0]]
    from_on = [np.count_nonzero(values >= high) for high in cuts[:, 1]]
    return np.array([*up_to, *from_on, np.count_nonzero(np.isnan(values))]) / len(values)


def _cuts(ordered: Floats) -> Floats:
    """Return the cuts of sorted values, each as a pair (low, high).

    At a quantile, these are the values on both sides of it. A frequent value is a cut of its own,
    with low = high.
    """
    last = len(ordered) - 1
    if last < 0:
        return np.zeros((0, 2))
    at = np.array(QUANTILES) * last
    low, high = np.floor(at).astype(np.int64), np.ceil(at).astype(np.int64)
    below = np.column_stack([ordered[low], ordered[high]])
    above = np.column_stack([ordered[last - high], ordered[last - low]])
    apart = max(int(_ATOM * len(ordered)), 1)
    atoms = ordered[apart:][ordered[apart:] == ordered[:-apart]]
    return np.unique(np.concatenate([below, above, np.column_stack([atoms, atoms])]), axis=0)


def _squares(deviations: Floats, variance: Floats, rows: int, count: int) -> Floats:
    """Return squared deviations of shares, divided by the variance expected from `count` windows.

    The variance is at least that of one row. If the windows vary by less than one row, one row is
    subtracted from each deviation (down to 0).
    """
    hardly_varies = _is_under_a_row(variance, rows)
    beyond = np.maximum(np.abs(deviations) - hardly_varies / rows, 0.0)
    squares: Floats = beyond**2 / (np.maximum(variance, 1 / rows**2) * (1 + 1 / count))
    return squares


def _is_under_a_row(variance: Floats, rows: int) -> Flags:
    return np.asarray(variance < 1 / rows**2)


def _distance(squares: Floats) -> float:
    """Return the logarithm of the mean square.

    The shares below and above a cut have half the weight.
    """
    total = squares[:-1].sum() / 2 + squares[-1]
    return math.log(max(float(total) / (len(squares) // 2 + 1), _LEAST_DISTANCE))
