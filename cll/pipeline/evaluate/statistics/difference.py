"""Whether one model's figure differs from another's by more than noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from cll.pipeline.evaluate.statistics.bootstrap import interval
from cll.types.directions import Better


@dataclass(frozen=True)
class Difference:
    """How far a figure moved, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float
    paired: bool  # both on the same rows in the same draws

    @property
    def is_noise(self) -> bool:
        """Say whether no difference at all would look like this, too."""
        return self.low <= 0 <= self.high

    def is_worse(self, better: Better) -> bool:
        """Return whether it moved the wrong way, by more than noise."""
        return self.low > 0 if better == "lower" else self.high < 0


@dataclass(frozen=True)
class Judgement:
    """What metrics.json says of one model, and its draws."""

    figures: Mapping[str, Mapping[str, float]]  # metric: value, low, high
    data: Mapping[str, Any]  # the rows they rest on: holdout_id, positive_blocks, blocks
    draws: pl.DataFrame | None  # a column a metric

    @property
    def holdout_id(self) -> str:
        return str(self.data.get("holdout_id", ""))

    @property
    def evidence(self) -> int:
        counts = (self.data.get(name) for name in ("positive_blocks", "blocks"))
        return next((count for count in counts if isinstance(count, int) and count), 0)


def difference(metric: str, new: Judgement, old: Judgement) -> Difference | None:
    """Return new minus old; None where it can't be told.

    Where both were judged on the same rows in the same draws, the interval is that of the
    difference draw by draw. Else the two count as independent, and their half widths add up as
    squares: too wide where they share rows, and never too narrow for those that share none.
    """
    ours, theirs = new.figures.get(metric, {}), old.figures.get(metric, {})
    if "value" not in ours or "value" not in theirs:
        return None
    moved = ours["value"] - theirs["value"]
    if (ends := _paired(metric, new, old)) is not None:
        return Difference(moved, *ends, paired=True)
    if "low" not in ours or "low" not in theirs:
        return None
    down = math.hypot(ours["value"] - ours["low"], theirs["high"] - theirs["value"])
    up = math.hypot(ours["high"] - ours["value"], theirs["value"] - theirs["low"])
    return Difference(moved, moved - down, moved + up, paired=False)


def _paired(metric: str, new: Judgement, old: Judgement) -> tuple[float, float] | None:
    if not new.holdout_id or new.holdout_id != old.holdout_id:
        return None
    if new.draws is None or old.draws is None or new.draws.height != old.draws.height:
        return None
    if metric not in new.draws.columns or metric not in old.draws.columns:
        return None
    apart = new.draws[metric].cast(pl.Float64) - old.draws[metric].cast(pl.Float64)
    return interval(apart.fill_null(math.nan).to_numpy(), new.evidence)
