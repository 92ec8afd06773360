"""A/A test of a promotion rule: two models' scores are swapped at random, so neither is better.

In each round a fair coin decides, block by block, whether the two models exchange their scores. Both
are then equally good, however good they were before. A promotion is therefore always an error, and
its rate can be compared with the stated one.
"""

import bisect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cll.pipeline.evaluate.statistics.bootstrap import Figures
from cll.pipeline.evaluate.statistics.scored_holdout import Holdout, Predictions
from cll.types.arrays import Flags

CONFIDENCE = 0.99
_STEPS = 60  # steps of a bisection, enough for the precision of a float


@dataclass(frozen=True)
class Swaps:
    """The number of rounds, and of those in which one model was promoted over the other.

    If all swaps of a round are reversed, its difference changes its sign. So each model is promoted
    as often as the other, and never both in one round. A round thus tests both models, and the rate
    for one of them is half of the share of rounds.
    """

    rounds: int
    promoted: int
    stated: float  # highest rate at which the gate may promote a given one of two equal models

    @property
    def rate(self) -> float:
        return self.promoted / self.rounds / 2

    @property
    def lower(self) -> float:
        """The one-sided lower confidence bound of the rate, at `CONFIDENCE`."""
        return lower_bound(self.promoted, self.rounds) / 2

    @property
    def holds(self) -> bool:
        return self.lower <= self.stated

    @property
    def fails_from(self) -> float:
        """The lowest rate at which the test would fail with this many rounds."""
        counts = range(self.rounds + 1)

        def lower(promoted: int) -> float:
            return lower_bound(promoted, self.rounds) / 2

        return bisect.bisect_right(counts, self.stated, key=lower) / self.rounds / 2


def differences(
    holdout: Holdout, own: Predictions, other: Predictions, metric: str, rounds: int, seed: int
) -> Iterator[Figures]:
    """Yield the difference of the two models' metric in each round of random swaps."""
    # The bootstrap uses the seed alone, so the swaps do not depend on its draws.
    rng = np.random.default_rng([seed, 1])
    for _ in range(rounds):
        is_swapped = rng.random(int(holdout.block.max()) + 1) < 0.5  # noqa: PLR2004  a fair coin
        mine, theirs = swapped(own, other, is_swapped[holdout.block])
        yield holdout.figures(*mine, [metric]) - holdout.figures(*theirs, [metric])


def swapped(own: Predictions, other: Predictions, rows: Flags) -> tuple[Predictions, Predictions]:
    """Return both models' scores and alerts, exchanged in the given rows."""
    pairs = list(zip(own, other, strict=True))
    mine = tuple(np.where(rows, b, a) for a, b in pairs)
    theirs = tuple(np.where(rows, a, b) for a, b in pairs)
    return (mine[0], mine[1]), (theirs[0], theirs[1])


def count(rounds: Iterator[Figures], promotes: Callable[[Figures], bool], stated: float) -> Swaps:
    """Count the rounds in which `promotes` accepts the difference or its negative."""
    total = promoted = 0
    for difference in rounds:
        total += 1
        promoted += promotes(difference) or promotes(-difference)
    return Swaps(total, promoted, stated)


def lower_bound(hits: int, trials: int) -> float:
    """Return the one-sided lower bound of a rate (Clopper and Pearson 1934) at `CONFIDENCE`.

    >>> lower_bound(0, 10), round(lower_bound(10, 10), 6)  # the second is .01 ** (1 / 10)
    (0.0, 0.630957)
    """
    low, high = 0.0, hits / trials
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_least(hits, trials, middle) < 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return low


def _at_least(hits: int, trials: int, rate: float) -> float:
    """Return the binomial probability of `hits` or more."""
    if not 0 < rate < 1:
        return float(rate >= 1 or hits == 0)
    all_orders = math.lgamma(trials + 1)
    logs = (
        all_orders
        - math.lgamma(n + 1)
        - math.lgamma(trials - n + 1)
        + n * math.log(rate)
        + (trials - n) * math.log1p(-rate)
        for n in range(hits, trials + 1)
    )
    return math.fsum(math.exp(log) for log in logs)
