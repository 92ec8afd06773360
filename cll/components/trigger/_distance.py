"""How far the values of one window lie from those of reference windows, in units of their own unrest.

A window is described by the share of its rows up to each of some cuts (quantiles of all reference
rows), the share from that cut on, and the share that is missing. Both sides count, so that a point
mass is seen wherever it lies: a column that was always 1 and falls has the same share up to 1. Only
the order of values matters, and either direction alike.

How far a share may stray is learnt from the reference windows, not from the number of rows: rows of
one entity or hour are alike, and weekdays are not. The distance is the mean square of the strayings,
an Anderson-Darling distance whose weights are measured; each reference window's own is taken with
that window left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cll.components.trigger._significance import Usual, usual
from cll.types.arrays import Flags, Floats

# Failures are rare, and what announces them lies in the tails. Those above the median mirror these.
QUANTILES = (0.002, 0.01, 0.03, 0.1, 0.25, 0.5)
_ATOM = 0.05  # share of reference rows with one value, from which on it is a cut of its own
_LEAST_DISTANCE = 1e-3  # where all reference windows are the same
_LEAST_SPREAD = 0.05  # of the distances' logarithms, which are about normal
_ROUNDING = 1e-9  # distances no further apart are the same


@dataclass(frozen=True, eq=False)
class Reference:
    """What the reference windows of one series show."""

    cuts: Floats  # a row a cut: the value up to which rows count, and the one from which on
    mean: Floats  # shares of rows, as `shares` orders them
    variance: Floats  # between windows
    distances: Usual  # their logarithms
    ranks: Floats  # the logarithms themselves, where they need not be about normal; else none
    rows: int  # of a middling window

    @property
    def count(self) -> int:
        return self.distances.count

    def p_value(self, values: Floats) -> float:
        """Return how often a window is as far off by chance; NaN for one of under half the rows."""
        if 2 * len(values) < self.rows:
            return float("nan")
        stray = shares(values, self.cuts) - self.mean
        distance = _distance(_squares(stray, self.variance, self.rows, self.count))
        as_far = np.count_nonzero(self.ranks >= distance - _ROUNDING)
        least = (1 + as_far) / (1 + self.count) if as_far else 0.0
        return max(self.distances.tail(distance), least)


def learn(windows: Sequence[Floats]) -> Reference:
    """Learn from the values of at least three windows, oldest first; NaN is a missing value."""
    together = np.concatenate(windows)
    cuts = _cuts(np.sort(together[~np.isnan(together)]))
    rows = max(int(np.median([len(one) for one in windows])), 1)
    stray = np.array([shares(one, cuts) for one in windows])
    count, mean = len(windows), stray.mean(axis=0)
    squares = ((stray - mean) ** 2).sum(axis=0)
    variance = squares / (count - 1)
    others_mean = (count * mean - stray) / (count - 1)
    others = (squares - (stray - mean) ** 2 * count / (count - 1)) / (count - 2)
    apart = _squares(stray - others_mean, others, rows, count - 1)
    left_out = np.array([_distance(one) for one in apart])
    # Where most shares stand still in most windows, the logarithms are far from normal: windows in
    # which something moves stand apart from the rest. There none is rarer than its rank says.
    still = 2 * (stray == np.sort(stray, axis=0)[count // 2]).sum(axis=0) >= count
    ranks = left_out if 2 * still[:-1].sum() >= len(still) - 1 else np.zeros(0)
    return Reference(cuts, mean, variance, usual(left_out.tolist(), _LEAST_SPREAD), ranks, rows)


def shares(values: Floats, cuts: Floats) -> Floats:
    """Return the shares up to each cut, then those from each cut on, then the share that is missing.

    >>> shares(np.array([1.0, 2.0, 3.0, np.nan]), np.array([[1.0, 2.0], [3.0, 3.0]])).tolist()
    [0.25, 0.75, 0.5, 0.25, 0.25]
    """
    up_to = [np.count_nonzero(values <= low) for low in cuts[:, 0]]
    from_on = [np.count_nonzero(values >= high) for high in cuts[:, 1]]
    return np.array([*up_to, *from_on, np.count_nonzero(np.isnan(values))]) / len(values)


def _cuts(ordered: Floats) -> Floats:
    """Cut sorted values at the quantiles, between neighbours, and at each value that many rows hold."""
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


def _squares(stray: Floats, variance: Floats, rows: int, count: int) -> Floats:
    """Square strayings, in units of what `count` windows expect; under a row is no straying.

    Where the windows themselves stray by less than a row, so is the first row of it.
    """
    hardly = _is_under_a_row(variance, rows)
    beyond = np.maximum(np.abs(stray) - hardly / rows, 0.0)
    squares: Floats = beyond**2 / (np.maximum(variance, 1 / rows**2) * (1 + 1 / count))
    return squares


def _is_under_a_row(variance: Floats, rows: int) -> Flags:
    return np.asarray(variance < 1 / rows**2)


def _distance(squares: Floats) -> float:
    """Return the logarithm of the mean square; both sides of a cut count as one."""
    whole = squares[:-1].sum() / 2 + squares[-1]
    return math.log(max(float(whole) / (len(squares) // 2 + 1), _LEAST_DISTANCE))
