"""Compute p-values against reference figures, and false-alarm rates of rules built from p-values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cll.types.arrays import Flags, Floats


@dataclass(frozen=True)
class Usual:
    """Distribution of reference figures, on a scale on which they are about normal."""

    mean: float
    spread: float
    count: int

    def tail(self, figure: float) -> float:
        """Return the probability that one more reference figure is at least as high as this.

        Student's t is used, since mean and spread are estimates from few figures.
        """
        t = (figure - self.mean) / (self.spread * math.sqrt(1 + 1 / self.count))
        return student_tail(t, self.count - 1)


def usual(figures: Sequence[float], least_spread: float) -> Usual:
    """Estimate the distribution of at least two figures; `least_spread` is a lower bound."""
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
    """Return which p-values are discoveries, and the bound for these p-values; NaN is no discovery.

    At most the share `rate` of discoveries is false on average (Benjamini and Hochberg 1995), for
    p-values that are independent or positively dependent (Benjamini and Yekutieli 2001).
    """
    ordered = np.sort(p[np.isfinite(p)])
    if not len(ordered):
        return np.zeros(len(p), np.bool_), 0.0
    bounds = rate * (np.arange(1, len(ordered) + 1) / len(ordered))
    under = np.flatnonzero(ordered <= bounds)
    bound = float(bounds[under[-1]] if len(under) else bounds[0])
    return np.nan_to_num(p, nan=1.0) <= bound, bound


def chance_of_several(level: float, at_least: int, of_last: int, count: int) -> float:
    """Return the probability that a rule fires by chance.

    The rule fires if the newest window is unusual, and `at_least` of the `of_last` newest windows
    are. All windows are compared with the same `count` reference windows, which may vary little by
    chance. So the share of unusual windows is itself random: a beta variable with mean `level`, like
    the share beyond a rank among the reference windows. Given that share, windows are independent.

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
