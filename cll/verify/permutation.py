"""Whether a rule promotes where there is nothing to gain: two models' answers, swapped by chance.

Where a fair coin says of each block which model answered what, both are equally good, whatever
they were before. Whoever is promoted then is promoted wrongly.
"""

import bisect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cll.pipeline.evaluate.statistics.bootstrap import Figures
from cll.pipeline.evaluate.statistics.scored_holdout import Answer, Court
from cll.types.arrays import Flags

CONFIDENCE = 0.99
_STEPS = 60  # of a bisection: as fine as a float


@dataclass(frozen=True)
class Swaps:
    """How many rounds there were, and in how many one of the two was promoted over the other.

    Swapping all blocks turns a round's difference round, so either model is promoted as often as
    the other; never both. A round thus tells of both, and its rate is halved.
    """

    rounds: int
    promoted: int
    stated: float  # rate at which a given one of them may be promoted

    @property
    def rate(self) -> float:
        return self.promoted / self.rounds / 2

    @property
    def lower(self) -> float:
        """The rate that is surely reached: one-sided, at `CONFIDENCE`."""
        return lower_bound(self.promoted, self.rounds) / 2

    @property
    def holds(self) -> bool:
        return self.lower <= self.stated

    @property
    def fails_from(self) -> float:
        """The lowest rate that would be too much."""
        counts = range(self.rounds + 1)

        def lower(promoted: int) -> float:
            return lower_bound(promoted, self.rounds) / 2

        return bisect.bisect_right(counts, self.stated, key=lower) / self.rounds / 2


def differences(
    court: Court, own: Answer, other: Answer, metric: str, rounds: int, seed: int
) -> Iterator[Figures]:
    """Yield the difference of the two in each round, after a coin was tossed for each block."""
    rng = np.random.default_rng([seed, 1])  # no draw of the bootstrap, which has the seed alone
    for _ in range(rounds):
        tossed = rng.random(int(court.block.max()) + 1) < 0.5  # noqa: PLR2004  a fair coin
        mine, theirs = swapped(own, other, tossed[court.block])
        yield court.figures(*mine, [metric]) - court.figures(*theirs, [metric])


def swapped(own: Answer, other: Answer, where: Flags) -> tuple[Answer, Answer]:
    """Let each of the two have the other's answers to some of the rows."""
    pairs = list(zip(own, other, strict=True))
    mine = tuple(np.where(where, b, a) for a, b in pairs)
    theirs = tuple(np.where(where, a, b) for a, b in pairs)
    return (mine[0], mine[1]), (theirs[0], theirs[1])


def count(found: Iterator[Figures], promotes: Callable[[Figures], bool], stated: float) -> Swaps:
    """Ask `promotes` for each difference, and for its reverse."""
    rounds = promoted = 0
    for difference in found:
        rounds += 1
        promoted += promotes(difference) or promotes(-difference)
    return Swaps(rounds, promoted, stated)


def lower_bound(hits: int, of: int) -> float:
    """Return the one-sided lower bound of a rate (Clopper and Pearson 1934) at `CONFIDENCE`.

    >>> lower_bound(0, 10), round(lower_bound(10, 10), 6)  # the second is .01 ** (1 / 10)
    (0.0, 0.630957)
    """
    low, high = 0.0, hits / of
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_least(hits, of, middle) < 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return low


def _at_least(hits: int, of: int, rate: float) -> float:
    """Return the chance of `hits` or more."""
    if not 0 < rate < 1:
        return float(rate >= 1 or hits == 0)
    ways = math.lgamma(of + 1)
    logs = (
        ways
        - math.lgamma(n + 1)
        - math.lgamma(of - n + 1)
        + n * math.log(rate)
        + (of - n) * math.log1p(-rate)
        for n in range(hits, of + 1)
    )
    return math.fsum(math.exp(log) for log in logs)
