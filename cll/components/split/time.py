"""Hold out the newest rows, so that a model is evaluated on rows after its training rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Interval

from cll.pipeline.dataset import holdout
from cll.types.arrays import Split
from cll.types.errors import config_error
from cll.types.times import Duration, Instant, format_duration, format_instant

Share = Annotated[float, Interval(gt=0, lt=1)]


@dataclass(frozen=True)
class Time:
    """Hold out the rows from `boundary` on, or the newest `span`, or else the share `holdout`.

    Rows within the embargo before the holdout are on neither side.
    """

    holdout: Share = 0.25
    boundary: Instant | None = None
    span: Duration | None = None

    def __post_init__(self) -> None:
        if self.span is not None and self.span <= timedelta(0):
            raise config_error("split.span", "0", "it holds out nothing; write 14d, or null.")
        if self.span is not None and self.boundary is not None:
            value = format_duration(self.span)
            raise config_error("split.span", value, "split.boundary is set too; null one of them.")

    @property
    def by_chance(self) -> bool:
        return False

    def __call__(self, rows: pl.DataFrame, embargo: timedelta, seed: int) -> Split:
        del seed
        start = self.boundary or self._newest(rows)
        none = np.zeros(rows.height, np.bool_)
        split = Split(none, none, start)
        if start is not None:
            held = (rows["time"] >= start).to_numpy()
            split = Split(holdout.before(rows, start, embargo), held, start)
        key = f"split.holdout={self.holdout:g}"
        if self.span is not None:
            key = f"split.span={format_duration(self.span)}"
        if self.boundary:
            key = f"split.boundary={format_instant(self.boundary)}"
        if embargo:
            key += f" with an embargo of {format_duration(embargo)}"
        return holdout.check(split, rows, key, "move it, or bring more data.")

    def _newest(self, rows: pl.DataFrame) -> datetime | None:
        if self.span is None or not rows.height:
            return holdout.boundary(rows, self.holdout)
        newest: datetime = rows["time"].max()  # type: ignore[assignment]
        return newest - self.span + timedelta.resolution  # a row as old as the span is not held out
