"""Rates of labels: estimate the usual rate and its daily spread, and detect a day that jumps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from cll.pipeline.ingest.schema.form import Rate, rounded

_NEAR = 1e-9  # smallest distance of a rate from 0 or 1, so that its log-odds are finite
SPREADS = 2.5  # a day may be this many spreads off the usual rate, and in addition ...
DEVIANCE = 9.2  # ... off by sampling noise of its few rows, down to a chance of 1 in 10,000
_PRIOR_SPREAD = 0.5  # prior for the daily spread of log-odds ...
_PRIOR_DAYS = 3  # ... weighted as this many days


@dataclass(frozen=True)
class DayCounts:
    """Counts of one day: `positive` events among `total`.

    `total` counts rows for a share, and entity-days for a rate that may exceed 1. `independent` is
    the effective sample size: the rows of one entity and hour count once.
    """

    positive: float
    total: float
    independent: float
    is_full: bool
    is_share: bool

    @property
    def level(self) -> float:
        """Return the log-odds of a share, or the log of a rate, with half an event added."""
        missed = self.total - self.positive + 0.5 if self.is_share else max(self.total, 1e-9)
        return math.log((self.positive + 0.5) / missed)

    @property
    def rate(self) -> float:
        return _rate(self.level, is_share=self.is_share)


def estimate(days: Sequence[DayCounts]) -> Rate | None:
    """Return the usual rate of the full days.

    A day that is not full widens the range only if the rate would otherwise refuse it.
    """
    counted = [day for day in days if day.total > 0]
    if not counted:
        return None
    good = [day for day in counted if day.is_full] or counted
    levels = [day.level for day in good]
    middle = median(levels)
    squares = sum((level - middle) ** 2 for level in levels) + _PRIOR_DAYS * _PRIOR_SPREAD**2
    spread = math.sqrt(squares / (len(levels) - 1 + _PRIOR_DAYS))
    is_share = counted[0].is_share
    rates = [day.rate for day in good]
    rate = rounded(_rate(middle, is_share=is_share))
    usual = Rate(rate, rounded(spread), (min(rates), max(rates)))
    rates += [day.rate for day in counted if has_jumped(day, usual, 1.0)]
    return Rate(usual.rate, usual.spread, (rounded(min(rates)), rounded(max(rates))))


def has_jumped(day: DayCounts, usual_rate: Rate, factor: float) -> bool:
    """Return whether a day's odds are beyond `factor` times the known range, and not by chance.

    Chance covers the usual variation from day to day and the sampling noise of a day with few rows.
    A day that is not full is never refused for too low a rate.
    """
    if day.total <= 0:
        return False
    low, high = (_level(rate, is_share=day.is_share) for rate in usual_rate.range)
    beyond = day.level - min(max(day.level, low), high)
    if abs(beyond) <= math.log(factor) or (beyond < 0 and not day.is_full):
        return False
    usual = _level(usual_rate.rate, is_share=day.is_share)
    unusual = usual + math.copysign(SPREADS * usual_rate.spread, beyond)
    if (day.level - unusual) * beyond <= 0:
        return False
    expected = _rate(unusual, is_share=day.is_share) * day.independent
    return _deviance(day.positive / day.total * day.independent, expected) > DEVIANCE


def _deviance(count: float, expected: float) -> float:
    """Return a lower bound of -log P(a count this extreme) for a Poisson mean (Chernoff)."""
    surprise = count * math.log(count / expected) if count else 0.0
    return surprise - (count - expected)


def _level(rate: float, *, is_share: bool) -> float:
    rate = max(rate, _NEAR)
    return math.log(rate / max(1 - rate, _NEAR)) if is_share else math.log(rate)


def _rate(level: float, *, is_share: bool) -> float:
    return 1 / (1 + math.exp(-level)) if is_share else math.exp(level)
