"""Which gain a rule could see: how large it must be in truth to be promoted in most cases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cll.pipeline.evaluate.statistics.bootstrap import interval
from cll.types.arrays import Floats

SEEN = 0.8  # of the cases in which there is such a gain


@dataclass(frozen=True)
class Sight:
    """The smallest gain that would be promoted in `SEEN` of the cases, with so much evidence."""

    times: int  # as many blocks as there are
    gain: float


def sight(difference: Floats, evidence: int, min_gain: float, times: Sequence[int]) -> list[Sight]:
    """Return what could be seen with `times` as many blocks; nothing where no draw has a figure.

    `difference` is that of two models in each replicate, `evidence` the blocks it rests on. The
    gain that is measured scatters around the true one as the replicates do, and the low end lies
    half an interval below it. Both narrow with the square root of the blocks.
    """
    known = difference[np.isfinite(difference)]
    ends = {n: interval(known, evidence * n) for n in times}
    return [
        Sight(n, min_gain + _needed(known, *found) / math.sqrt(n))
        for n, found in ends.items()
        if found is not None
    ]


def _needed(known: Floats, low: float, high: float) -> float:
    return (high - low) / 2 + NormalDist().inv_cdf(SEEN) * float(np.std(known))
