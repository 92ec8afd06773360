"""Ranking of rows by score, and the weighted sums that ranking metrics are computed from."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cll.types.arrays import Flags, Floats, Scored

Rows = NDArray[np.intp]


def rank(y: Floats, p: Floats, alert: Flags, unchanged: Floats) -> tuple[Scored, Rows]:
    """Return rows sorted by `p` from high to low, ties by row, and the original row of each."""
    order = np.argsort(-p, kind="stable")
    return Scored(y[order], p[order], alert[order], unchanged[order]), order


def tie_ends(p: Floats) -> Rows:
    """Return the last row of each run of equal scores.

    >>> tie_ends(np.array([0.9, 0.5, 0.5, 0.1])).tolist()
    [0, 2, 3]
    """
    changes = p[1:] != p[:-1]
    if changes.all():
        return np.arange(len(p))
    return np.append(np.flatnonzero(changes), len(p) - 1)


def sweep(rows: Scored, weight: Floats) -> tuple[Floats, Floats]:
    """Return the weight of positive rows, and of all rows, at or above each distinct score."""
    positives, everything = np.cumsum(rows.y * weight), np.cumsum(weight)
    ends = tie_ends(rows.p)
    if len(ends) == len(rows.p):  # without ties, which is usual, this is twice as fast
        return positives, everything
    return positives[ends], everything[ends]


@dataclass(frozen=True)
class _Steps:
    """Ranked rows cut into steps, where the recall rises, and the ranges of rows between them.

    The areas under both curves follow from the sums over these parts. Failures are rare, so there
    are far fewer parts than rows, and all bootstrap replicates share them.
    """

    starts: Rows  # first row of each step, or of the range between two
    rising: Flags  # whether it is a step: the rows of one score, with a positive row among them
    positive: Rows  # the positive rows
    first: Rows  # index in `positive` of each step's first positive row

    def sums(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return the weight of positive rows, and of all rows, up to the end of each part."""
        gained = np.zeros(len(self.starts))
        if len(self.first):
            gained[self.rising] = np.add.reduceat(weight[self.positive], self.first)
        return np.cumsum(gained), np.cumsum(np.add.reduceat(weight, self.starts))


@functools.lru_cache(maxsize=1)
def _steps(rows: Scored) -> _Steps:
    ends = tie_ends(rows.p)
    ties = np.append(0, ends[:-1] + 1)  # the first row of each run of equal scores
    positive = np.flatnonzero(rows.y > 0)
    has_positive = np.zeros(len(ties), np.bool_)
    has_positive[np.searchsorted(ends, positive)] = True
    used = has_positive | np.append(True, has_positive[:-1])
    starts, rising = ties[used], has_positive[used]
    return _Steps(starts, rising, positive, np.searchsorted(positive, starts[rising]))


def roc_area(rows: Scored, weight: Floats) -> float:
    """Return the area under the ROC curve; a pair with equal scores counts half."""
    if not len(rows.p):
        return float("nan")
    positives, everything = _steps(rows).sums(weight)
    negatives = everything - positives
    if positives[-1] <= 0 or negatives[-1] <= 0:
        return float("nan")
    heights = positives[1:] + positives[:-1]
    area = np.sum(np.diff(negatives) * heights) + negatives[0] * positives[0]
    return float(area / (2 * positives[-1] * negatives[-1]))


def precision_area(rows: Scored, weight: Floats) -> float:
    """Return the average precision: the mean of the precision at each step of the recall."""
    if not len(rows.p):
        return float("nan")
    positives, everything = _steps(rows).sums(weight)
    if positives[-1] <= 0:
        return float("nan")
    gained = np.diff(positives, prepend=0.0)
    # Rows of weight 0 at the top add nothing, and their precision is not defined.
    precision = positives / np.where(everything > 0, everything, 1.0)
    return float(np.sum(gained * precision) / positives[-1])


def equal_bins(p: Floats, count: int) -> Rows:
    """Return the first rows of `count` bins with equally many rows; tied rows stay together.

    >>> equal_bins(np.array([0.9, 0.5, 0.5, 0.1]), 2).tolist()
    [0, 3]
    """
    starts = np.append(0, tie_ends(p)[:-1] + 1)
    cuts = np.arange(count) * len(p) / count
    chosen = starts[np.minimum(np.searchsorted(starts, cuts), len(starts) - 1)]
    return np.unique(chosen[chosen >= cuts]) if len(p) else starts[:0]
