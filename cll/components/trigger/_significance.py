"""How unusual a figure is among its like: p-values, and how often rules made of them fire by chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cll.types.arrays import Flags, Floats


@dataclass(frozen=True)
class Usual:
    """How figures were spread where nothing had changed; on a scale on which they are about normal."""

    mean: float
    spread: float
    count: int

    def tail(self, figure: float) -> float:
        """Return the chance that one more figure is as high as this, as Student's t has it.

        The reference figures are few, so their own mean and spread are uncertain, and counted so.
        """
        apart = (figure - self.mean) / (self.spread * math.sqrt(1 + 1 / self.count))
        return student_tail(apart, self.count - 1)


def usual(figures: Sequence[float], least_spread: float) -> Usual:
    """Learn from at least two figures; a smaller spread than the least is chance."""
    spread = float(np.std(figures, ddof=1))
    return Usual(float(np.mean(figures)), max(spread, least_spread), len(figures))


def student_tail(t: float, freedom: int) -> float:
    """Return P(T > t) by the finite sums of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.

    >>> round(student_tail(2.015, 5), 4), round(student_tail(1.782, 12), 4)
    (0.05, 0.05)
    """
    angle = math.atan(abs(t) / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for i in range(odd + 1, freedom, 2):
        total += term
        term *= math.cos(angle) ** 2 * i / (i + 1)
    within = math.sin(angle) * total
    if odd:
        within = 2 / math.pi * (angle + within)
    beyond = max((1 - within) / 2, 0.0)
    return beyond if t >= 0 else 1 - beyond


def discoveries(p: Floats, rate: float) -> tuple[Flags, float]:
    """Return which p-values are discoveries, and the bound they are under; NaN is never one.

    At most the share `rate` of discoveries is false on average (Benjamini and Hochberg 1995), for
    p-values that are independent or rise together (Benjamini and Yekutieli 2001).
    """
    told = np.sort(p[np.isfinite(p)])
    if not len(told):
        return np.zeros(len(p), np.bool_), 0.0
    bounds = rate * (np.arange(1, len(told) + 1) / len(told))
    under = np.flatnonzero(told <= bounds)
    bound = float(bounds[under[-1]] if len(under) else bounds[0])
    return np.nan_to_num(p, nan=1.0) <= bound, bound


def chance_of_several(level: float, at_least: int, of_last: int, count: int) -> float:
    """Return how often the newest and all in all `at_least` of the last windows are unusual by chance.

    All are held against the same `count` reference windows, which may by chance be narrow: the share
    of windows they call unusual is taken as that of a rank among them is, a beta variable of mean
    `level`. Windows count as independent of one another beside that.

    >>> round(chance_of_several(0.05, 1, 3, 30), 4), round(chance_of_several(0.05, 2, 3, 30), 4)
    (0.05, 0.0075)
    """
    a, b = level * (count + 1), (1 - level) * (count + 1)
    return sum(
        math.comb(of_last - 1, i - 1) * math.exp(_beta(a + i, b + of_last - i) - _beta(a, b))
        for i in range(at_least, of_last + 1)
    )


def _beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
