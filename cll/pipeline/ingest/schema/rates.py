"""How often labels come: learnt with its day-to-day spread, and a day that jumps out of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from cll.pipeline.ingest.schema.form import Rate, rounded

_NEAR = 1e-9  # to 0 or 1: a rate that is rounded to them is not quite there
SPREADS = 2.5  # a day may be so far off the usual, and on top of that ...
DEVIANCE = 9.2  # ... what its few rows leave open, down to a chance of 1 in 10,000
_PRIOR_SPREAD = 0.5  # of log-odds from day to day, before a day was seen ...
_PRIOR_DAYS = 3  # ... and how many days that counts for


@dataclass(frozen=True)
class Day:
    """`positive` of `of`: rows for a share, entity-days for a rate that may exceed 1.

    `independent` is how much evidence that is: the rows of an entity and hour tell one story.
    """

    positive: float
    of: float
    independent: float
    is_full: bool
    is_share: bool

    @property
    def level(self) -> float:
        """Return log-odds, or the logarithm of a rate; half an event more keeps it finite."""
        missed = self.of - self.positive + 0.5 if self.is_share else max(self.of, 1e-9)
        return math.log((self.positive + 0.5) / missed)

    @property
    def rate(self) -> float:
        return _rate(self.level, is_share=self.is_share)


def learn(days: Sequence[Day]) -> Rate | None:
    """Return the usual rate of full days; others widen its range only if it would refuse them."""
    told = [day for day in days if day.of > 0]
    if not told:
        return None
    good = [day for day in told if day.is_full] or told
    levels = [day.level for day in good]
    middle = median(levels)
    squares = sum((level - middle) ** 2 for level in levels) + _PRIOR_DAYS * _PRIOR_SPREAD**2
    spread = math.sqrt(squares / (len(levels) - 1 + _PRIOR_DAYS))
    is_share = told[0].is_share
    rates = [day.rate for day in good]
    rate = rounded(_rate(middle, is_share=is_share))
    known = Rate(rate, rounded(spread), (min(rates), max(rates)))
    rates += [day.rate for day in told if has_jumped(day, known, 1.0)]
    return Rate(known.rate, known.spread, (rounded(min(rates)), rounded(max(rates))))


def has_jumped(day: Day, known: Rate, factor: float) -> bool:
    """Tell whether a day's odds are `factor` times beyond all days known, and not by chance.

    Chance is what differs from day to day, and what a day's few rows leave open. A day that isn't
    over can't have too few incidents.
    """
    if day.of <= 0:
        return False
    low, high = (_level(rate, is_share=day.is_share) for rate in known.range)
    beyond = day.level - min(max(day.level, low), high)
    if abs(beyond) <= math.log(factor) or (beyond < 0 and not day.is_full):
        return False
    usual = _level(known.rate, is_share=day.is_share)
    unusual = usual + math.copysign(SPREADS * known.spread, beyond)
    if (day.level - unusual) * beyond <= 0:
        return False
    expected = _rate(unusual, is_share=day.is_share) * day.independent
    return _deviance(day.positive / day.of * day.independent, expected) > DEVIANCE


def _deviance(count: float, expected: float) -> float:
    """Bound -log P(so many, or so few) from below (Chernoff), where `expected` are Poisson."""
    surprise = count * math.log(count / expected) if count else 0.0
    return surprise - (count - expected)


def _level(rate: float, *, is_share: bool) -> float:
    rate = max(rate, _NEAR)
    return math.log(rate / max(1 - rate, _NEAR)) if is_share else math.log(rate)


def _rate(level: float, *, is_share: bool) -> float:
    return 1 / (1 + math.exp(-level)) if is_share else math.exp(level)
