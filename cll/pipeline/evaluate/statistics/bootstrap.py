"""Block bootstrap: confidence intervals of metrics from blocks of rows drawn with replacement.

Neighbouring rows of an entity are nearly copies. Drawing single rows would give intervals that are
far too narrow, so whole blocks are drawn.
"""

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.evaluate.statistics.curves import DIGITS
from cll.types.arrays import Floats, Scored
from cll.types.components import Metric

LEVEL = 95  # confidence level, in per cent
TAIL = (100 - LEVEL) / 200  # share of intervals that lie above the true value, and below it


@dataclass(frozen=True)
class BlockedRows:
    """One model's scored rows, and the block of each row, from 0."""

    rows: Scored
    block: NDArray[np.int64]


def draws(blocks: int, replicates: int, seed: int) -> Iterator[Floats]:
    """Yield for each replicate how often each block is drawn; equal seeds give equal draws.

    >>> [draw.tolist() for draw in draws(blocks=4, replicates=2, seed=0)]
    [[0.0, 1.0, 2.0, 1.0], [3.0, 1.0, 0.0, 0.0]]
    """
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        drawn = rng.integers(0, blocks, blocks)
        yield np.bincount(drawn, minlength=blocks).astype(np.float64)


@dataclass(frozen=True)
class Figures:
    """Metrics by name: their values on all rows, and in each replicate."""

    values: dict[str, float]
    replicates: dict[str, Floats]
    evidence: int  # number of blocks with a positive row; if no block has one, of all blocks

    def __sub__(self, other: "Figures") -> "Figures":
        """Subtract values and replicates of the metrics that both have."""
        names = [name for name in self.values if name in other.values]
        return Figures(
            {name: self.values[name] - other.values[name] for name in names},
            {name: self.replicates[name] - other.replicates[name] for name in names},
            self.evidence,
        )

    def __neg__(self) -> "Figures":
        """Return the figures with all signs changed."""
        return Figures(
            {name: -value for name, value in self.values.items()},
            {name: -drawn for name, drawn in self.replicates.items()},
            self.evidence,
        )


def figures(
    rows: BlockedRows, metrics: Mapping[str, Metric], replicates: int, seed: int
) -> Figures:
    """Compute each metric on all rows and in each replicate; NaN where it is not defined.

    Models evaluated on the same rows, with the same replicates and seed, are evaluated on the same
    draws. So the difference of their figures is paired.
    """
    even = np.ones(len(rows.block))
    values = {name: float(metric(rows.rows, even)) for name, metric in metrics.items()}
    drawn = {name: np.empty(replicates) for name in metrics}
    blocks = int(rows.block.max()) + 1
    for index, draw in enumerate(draws(blocks, replicates, seed)):
        weight = draw[rows.block]
        for name, metric in metrics.items():
            drawn[name][index] = metric(rows.rows, weight)
    positive = len(np.unique(rows.block[rows.rows.y > 0]))
    return Figures(values, drawn, positive or blocks)


def with_intervals(figures: Figures) -> dict[str, dict[str, float]]:
    """Return value, low and high of each metric that is defined."""
    tree: dict[str, dict[str, float]] = {}
    for name, value in figures.values.items():
        if math.isfinite(value):
            tree[name] = {"value": value}
            ends = interval(figures.replicates[name], figures.evidence)
            tree[name] |= {} if ends is None else {"low": ends[0], "high": ends[1]}
    return tree


def as_frame(figures: Figures) -> pl.DataFrame:
    """Return replicates as rows and metrics as columns, to six decimals; null is not defined."""
    columns = {name: np.round(values, DIGITS) + 0.0 for name, values in figures.replicates.items()}
    return pl.DataFrame(columns).fill_nan(None)


def interval(replicates: Floats, evidence: int) -> tuple[float, float] | None:
    """Return the percentile interval at `LEVEL`; undefined replicates are left out.

    `evidence` is the number of blocks behind the metric; with fewer blocks the interval is
    wider. Quantiles are Weibull's, at k / (n + 1).

    >>> [round(end, 1) for end in interval(np.arange(1.0, 400.0), evidence=100_000)]
    [10.0, 390.0]
    >>> [round(end, 1) for end in interval(np.arange(1.0, 400.0), evidence=10)]
    [3.4, 396.6]
    """
    defined = replicates[np.isfinite(replicates)]
    if not len(defined):
        return None
    share = tail(evidence)
    low, high = np.quantile(defined, [share, 1 - share], method="weibull")
    return float(low), float(high)


@functools.lru_cache(maxsize=64)
def tail(blocks: int) -> float:
    """Return the share of replicates beyond each end of the interval; less than TAIL for few blocks.

    This is the expanded percentile interval (Hesterberg 2015). It is wider than the plain one, for
    two reasons: the bootstrap underestimates the standard deviation by the factor
    sqrt((n - 1) / n), and an estimate from n blocks is itself uncertain, for which Student's t
    allows.
    """
    if blocks < 2:  # noqa: PLR2004  the spread of one block is unknown
        return 0.0
    t = _student_quantile(NormalDist().inv_cdf(1 - TAIL), blocks - 1)
    return NormalDist().cdf(-math.sqrt(blocks / (blocks - 1)) * t)


def _student_quantile(z: float, freedom: int) -> float:
    """Return the quantile of Student's t where the normal one is `z` (Abramowitz, Stegun 26.7.5).

    Published tables give the same values:

    >>> [round(_student_quantile(1.959964, freedom), 3) for freedom in (9, 49)]
    [2.262, 2.01]
    """
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))
