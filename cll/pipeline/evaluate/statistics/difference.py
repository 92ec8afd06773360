"""Difference between two models' metrics, with an interval that shows whether it is noise."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from cll.pipeline.evaluate.statistics.bootstrap import interval
from cll.types.directions import Better


@dataclass(frozen=True)
class Difference:
    """The difference of a metric, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float
    paired: bool  # both were evaluated on the same rows in the same draws

    @property
    def is_noise(self) -> bool:
        """Return whether the interval contains 0."""
        return self.low <= 0 <= self.high

    def is_worse(self, better: Better) -> bool:
        """Return whether it moved the wrong way, by more than noise."""
        return self.low > 0 if better == "lower" else self.high < 0


@dataclass(frozen=True)
class Judgement:
    """One model's metrics as in metrics.json, and their bootstrap draws."""

    figures: Mapping[str, Mapping[str, float]]  # metric: value, low, high
    data: Mapping[str, Any]  # facts on the rows: holdout_id, positive_blocks, blocks
    draws: pl.DataFrame | None  # replicates as rows, metrics as columns

    @property
    def holdout_id(self) -> str:
        return str(self.data.get("holdout_id", ""))

    @property
    def evidence(self) -> int:
        counts = (self.data.get(name) for name in ("positive_blocks", "blocks"))
        return next((count for count in counts if isinstance(count, int) and count), 0)


def difference(metric: str, new: Judgement, old: Judgement) -> Difference | None:
    """Return new minus old with an interval; None where a value or an interval is missing.

    Where both were evaluated on the same rows in the same draws, the interval is that of the paired
    differences. Otherwise the two are taken as independent, and the squares of their half widths
    add up. That interval is too wide where the two share rows.
    """
    new_metric, old_metric = new.figures.get(metric, {}), old.figures.get(metric, {})
    if "value" not in new_metric or "value" not in old_metric:
        return None
    moved = new_metric["value"] - old_metric["value"]
    if (ends := _paired(metric, new, old)) is not None:
        return Difference(moved, *ends, paired=True)
    if "low" not in new_metric or "low" not in old_metric:
        return None
    down = math.hypot(
        new_metric["value"] - new_metric["low"], old_metric["high"] - old_metric["value"]
    )
    up = math.hypot(
        new_metric["high"] - new_metric["value"], old_metric["value"] - old_metric["low"]
    )
    return Difference(moved, moved - down, moved + up, paired=False)


def _paired(metric: str, new: Judgement, old: Judgement) -> tuple[float, float] | None:
    if not new.holdout_id or new.holdout_id != old.holdout_id:
        return None
    if new.draws is None or old.draws is None or new.draws.height != old.draws.height:
        return None
    if metric not in new.draws.columns or metric not in old.draws.columns:
        return None
    moved_by_draw = new.draws[metric].cast(pl.Float64) - old.draws[metric].cast(pl.Float64)
    return interval(moved_by_draw.fill_null(math.nan).to_numpy(), new.evidence)
