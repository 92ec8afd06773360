"""Hold out the newest rows, so that no model is judged on its past."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Interval

from cll import holdout
from cll.values import Instant, Split, format_duration, format_instant

Share = Annotated[float, Interval(gt=0, lt=1)]


@dataclass(frozen=True)
class Time:
    """Hold out from `boundary` on, or the newest `holdout` of the rows.

    Rows within the embargo before the boundary are on neither side.
    """

    holdout: Share = 0.25
    boundary: Instant | None = None

    def __call__(self, rows: pl.DataFrame, embargo: timedelta, seed: int) -> Split:
        del seed
        start = self.boundary or holdout.boundary(rows, self.holdout)
        none = np.zeros(rows.height, np.bool_)
        split = Split(none, none, start)
        if start is not None:
            held = (rows["time"] >= start).to_numpy()
            split = Split(holdout.before(rows, start, embargo), held, start)
        key = f"split.holdout={self.holdout:g}"
        if self.boundary:
            key = f"split.boundary={format_instant(self.boundary)}"
        if embargo:
            key += f" with an embargo of {format_duration(embargo)}"
        return holdout.check(split, rows, key, "move it, or bring more data.")
