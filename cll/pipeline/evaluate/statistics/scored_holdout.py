"""The holdout in its own order, and how any model is judged on it, or on a part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.evaluate.statistics.bootstrap import Figures, Judged, figures
from cll.pipeline.evaluate.statistics.ranking import rank
from cll.types.arrays import Flags, Floats
from cll.types.components import Metric

Answer = tuple[Floats, Flags]  # one model's probabilities, and its alerts


@dataclass(frozen=True)
class Court:
    """Held-out rows, what no-change says of them, and the block of each."""

    held: pl.DataFrame
    y: Floats
    unchanged: Floats
    block: NDArray[np.int64]
    metrics: Mapping[str, Metric]
    replicates: int
    draws_seed: int

    def figures(self, p: Floats, alert: Flags, names: Sequence[str] | None = None) -> Figures:
        """Compute metrics (all, or those named), and again in each replicate."""
        rows, order = rank(self.y, p, alert, self.unchanged)
        chosen = {name: self.metrics[name] for name in (self.metrics if names is None else names)}
        judged = Judged(rows, self.block[order])
        return figures(judged, chosen, self.replicates, self.draws_seed)

    def values(self, p: Floats, alert: Flags, names: Sequence[str]) -> dict[str, float]:
        """Compute metrics once, without intervals."""
        rows, _ = rank(self.y, p, alert, self.unchanged)
        even = np.ones(len(rows.p))
        return {name: float(self.metrics[name](rows, even)) for name in names}

    def part(self, mask: Flags) -> "Court":
        """Hold court over some of the rows: of their blocks alone is drawn."""
        _, block = np.unique(self.block[mask], return_inverse=True)
        return replace(
            self,
            held=self.held.filter(pl.Series(mask)),
            y=self.y[mask],
            unchanged=self.unchanged[mask],
            block=block.astype(np.int64),
        )
