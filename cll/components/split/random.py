"""Hold out rows at random; correct for independent rows only, too optimistic for all others."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Interval

from cll.pipeline.dataset import holdout
from cll.types.arrays import Split


@dataclass(frozen=True)
class Random:
    """Hold out a share of the rows, drawn by the seed, without regard to time and embargo."""

    holdout: Annotated[float, Interval(gt=0, lt=1)] = 0.2

    def __call__(self, rows: pl.DataFrame, embargo: timedelta, seed: int) -> Split:
        del embargo
        drawn = np.random.default_rng(seed).permutation(rows.height)
        held = drawn < round(rows.height * self.holdout)
        key = f"split.holdout={self.holdout:g}"
        return holdout.check(Split(~held, held, None), rows, key, "change it, or bring more data.")
