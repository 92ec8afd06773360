"""Holdout on which any model's predictions are evaluated, as a whole or in part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.evaluate.statistics.bootstrap import BlockedRows, Figures, figures
from cll.pipeline.evaluate.statistics.ranking import rank
from cll.types.arrays import Flags, Floats
from cll.types.components import Metric

Predictions = tuple[Floats, Flags]  # one model's probabilities and alerts


@dataclass(frozen=True)
class Holdout:
    """Held-out rows in their original order, with labels, blocks, and the metrics to compute."""

    held: pl.DataFrame
    y: Floats
    unchanged: Floats  # predictions of the no-change baseline
    block: NDArray[np.int64]
    metrics: Mapping[str, Metric]
    replicates: int
    draws_seed: int

    def figures(self, p: Floats, alert: Flags, names: Sequence[str] | None = None) -> Figures:
        """Compute metrics (all, or those in `names`) on all rows and in each replicate."""
        rows, order = rank(self.y, p, alert, self.unchanged)
        chosen = {name: self.metrics[name] for name in (self.metrics if names is None else names)}
        blocked = BlockedRows(rows, self.block[order])
        return figures(blocked, chosen, self.replicates, self.draws_seed)

    def values(self, p: Floats, alert: Flags, names: Sequence[str]) -> dict[str, float]:
        """Compute metrics on all rows, without replicates."""
        rows, _ = rank(self.y, p, alert, self.unchanged)
        even = np.ones(len(rows.p))
        return {name: float(self.metrics[name](rows, even)) for name in names}

    def part(self, mask: Flags) -> "Holdout":
        """Restrict to some of the rows; the bootstrap then draws from their blocks only."""
        _, block = np.unique(self.block[mask], return_inverse=True)
        return replace(
            self,
            held=self.held.filter(pl.Series(mask)),
            y=self.y[mask],
            unchanged=self.unchanged[mask],
            block=block.astype(np.int64),
        )
