"""Hold out whole entities, to see whether a model works on entities that are new to it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Interval

from cll.pipeline.dataset import holdout
from cll.types.arrays import Split
from cll.types.times import Instant

Share = Annotated[float, Interval(gt=0, lt=1)]


@dataclass(frozen=True)
class Grouped:
    """Hold out a share of the entities; with `boundary`, only their rows from that time on.

    With a boundary, the training rows are those of the other entities until the embargo before it.
    So the model knows neither the held-out entities nor the conditions of the held-out days.
    """

    holdout: Share = 0.25
    boundary: Instant | None = None

    def __call__(self, rows: pl.DataFrame, embargo: timedelta, seed: int) -> Split:
        names = holdout.held_out(rows["entity"], self.holdout, seed)
        held = rows["entity"].is_in(names).to_numpy()
        early = late = np.ones(rows.height, np.bool_)
        if self.boundary:
            early = holdout.before(rows, self.boundary, embargo)
            late = (rows["time"] >= self.boundary).to_numpy()
        split = Split(~held & early, held & late, self.boundary)
        key = f"split.holdout={self.holdout:g} of {rows['entity'].n_unique()} entities"
        return holdout.check(split, rows, key, "change it, or another seed.")
