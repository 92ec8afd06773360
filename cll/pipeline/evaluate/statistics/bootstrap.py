"""How sure a figure is: redraw whole blocks of rows and look how far the figure moves.

Blocks, not rows: neighbouring rows of an entity tell the same story, and drawn one by one they
would make an interval far too narrow.
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

LEVEL = 95  # per cent of intervals that hold the truth
TAIL = (100 - LEVEL) / 200  # of them that lie above it, or below


@dataclass(frozen=True)
class Judged:
    """One model's rows, and of each row its block, from 0."""

    rows: Scored
    block: NDArray[np.int64]


def draws(blocks: int, replicates: int, seed: int) -> Iterator[Floats]:
    """Yield how often each block is drawn, with replacement: the same for the same seed.

    >>> [draw.tolist() for draw in draws(blocks=4, replicates=2, seed=0)]
    [[0.0, 1.0, 2.0, 1.0], [3.0, 1.0, 0.0, 0.0]]
    """
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        drawn = rng.integers(0, blocks, blocks)
        yield np.bincount(drawn, minlength=blocks).astype(np.float64)


@dataclass(frozen=True)
class Figures:
    """Metrics by name: on the rows as they are, and in each replicate."""

    values: dict[str, float]
    replicates: dict[str, Floats]
    evidence: int  # blocks with a positive row, or all where none has one

    def __sub__(self, other: "Figures") -> "Figures":
        """Subtract draw by draw, over the metrics that both have."""
        names = [name for name in self.values if name in other.values]
        return Figures(
            {name: self.values[name] - other.values[name] for name in names},
            {name: self.replicates[name] - other.replicates[name] for name in names},
            self.evidence,
        )

    def __neg__(self) -> "Figures":
        """Turn a difference round."""
        return Figures(
            {name: -value for name, value in self.values.items()},
            {name: -drawn for name, drawn in self.replicates.items()},
            self.evidence,
        )


def figures(judged: Judged, metrics: Mapping[str, Metric], replicates: int, seed: int) -> Figures:
    """Compute each metric, and again in each replicate; NaN where a draw leaves it undefined.

    Models judged on the same rows, with as many replicates and the same seed, see the same draws,
    so the difference of their figures is a paired one.
    """
    even = np.ones(len(judged.block))
    values = {name: float(metric(judged.rows, even)) for name, metric in metrics.items()}
    drawn = {name: np.empty(replicates) for name in metrics}
    blocks = int(judged.block.max()) + 1
    for index, draw in enumerate(draws(blocks, replicates, seed)):
        weight = draw[judged.block]
        for name, metric in metrics.items():
            drawn[name][index] = metric(judged.rows, weight)
    positive = len(np.unique(judged.block[judged.rows.y > 0]))
    return Figures(values, drawn, positive or blocks)


def with_intervals(found: Figures) -> dict[str, dict[str, float]]:
    """Return value, low and high of each metric that is defined."""
    tree: dict[str, dict[str, float]] = {}
    for name, value in found.values.items():
        if math.isfinite(value):
            tree[name] = {"value": value}
            ends = interval(found.replicates[name], found.evidence)
            tree[name] |= {} if ends is None else {"low": ends[0], "high": ends[1]}
    return tree


def as_frame(found: Figures) -> pl.DataFrame:
    """Return a row a replicate and a column a metric, of six decimals; null is not defined."""
    columns = {name: np.round(values, DIGITS) + 0.0 for name, values in found.replicates.items()}
    return pl.DataFrame(columns).fill_nan(None)


def interval(figures: Floats, evidence: int) -> tuple[float, float] | None:
    """Return the percentile interval at `LEVEL`; replicates without a figure are left out.

    `evidence` is the number of blocks that the figure rests on: the fewer, the farther out the
    ends lie. A percentile is that of replicates and one more, the figure itself.

    >>> [round(end, 1) for end in interval(np.arange(1.0, 400.0), evidence=100_000)]
    [10.0, 390.0]
    >>> [round(end, 1) for end in interval(np.arange(1.0, 400.0), evidence=10)]
    [3.4, 396.6]
    """
    known = figures[np.isfinite(figures)]
    if not len(known):
        return None
    share = tail(evidence)
    low, high = np.quantile(known, [share, 1 - share], method="weibull")
    return float(low), float(high)


@functools.lru_cache(maxsize=64)
def tail(blocks: int) -> float:
    """Return the share of replicates beyond either end, smaller than stated where blocks are few.

    Blocks drawn again scatter less than new ones would, by the root of (n - 1) / n, and n blocks
    tell their own scatter no better than Student's t says (expanded percentile: Hesterberg 2015).
    """
    if blocks < 2:  # noqa: PLR2004  one block tells nothing of a scatter
        return 0.0
    t = _student(NormalDist().inv_cdf(1 - TAIL), blocks - 1)
    return NormalDist().cdf(-math.sqrt(blocks / (blocks - 1)) * t)


def _student(z: float, freedom: int) -> float:
    """Return the quantile of Student's t where the normal one is `z` (Abramowitz, Stegun 26.7.5).

    >>> round(_student(1.959964, 9), 3), round(_student(1.959964, 49), 3)  # of a table
    (2.262, 2.01)
    """
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))
