"""Power of the gate: the smallest true gain that is promoted in most cases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from cll.pipeline.evaluate.statistics.bootstrap import interval
from cll.types.arrays import Floats

POWER = 0.8  # probability that a candidate with this gain is promoted


@dataclass(frozen=True)
class DetectableGain:
    """The smallest true gain that the gate promotes with probability `POWER`."""

    times: int  # how many times as large the holdout is, in blocks
    gain: float


def detectable_gains(
    difference: Floats, evidence: int, min_gain: float, times: Sequence[int]
) -> list[DetectableGain]:
    """Return the detectable gain for a holdout of `times` as many blocks, for each of `times`.

    `difference` is the difference of two models' metric in each bootstrap replicate. `evidence` is
    the number of blocks that it rests on. The measured gain scatters around the true one like the
    replicates do. The gate asks that the low end of the interval, half an interval below the
    measured gain, exceeds `min_gain`. Both widths shrink with the square root of the blocks.
    Returns nothing where the metric is defined in no replicate.
    """
    finite = difference[np.isfinite(difference)]
    intervals = {n: interval(finite, evidence * n) for n in times}
    return [
        DetectableGain(n, min_gain + _needed(finite, *ends) / math.sqrt(n))
        for n, ends in intervals.items()
        if ends is not None
    ]


def _needed(replicates: Floats, low: float, high: float) -> float:
    return (high - low) / 2 + NormalDist().inv_cdf(POWER) * float(np.std(replicates))
