"""How far a model's own log-odds can be believed, and what mends them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import polars as pl

from cll.model import platt
from cll.pipeline.dataset import blocks
from cll.types.arrays import Floats

Calibration = Literal["platt", "none"]


@dataclass(frozen=True)
class Trust:
    kind: Literal["platt", "level", "none", "kept"]
    slope: float
    intercept: float
    calibrated: bool
    says: str
    positive_blocks: int

    @property
    def notes(self) -> dict[str, Any]:
        return {
            "calibration": self.kind,
            "calibrated": self.calibrated,
            "positive_blocks": self.positive_blocks,
            "says": self.says,
        }


@dataclass(frozen=True)
class Before:
    """How far the model is trusted that a fit goes on from."""

    slope: float
    intercept: float
    threshold: float
    calibrated: bool


@dataclass(frozen=True)
class Judged:
    """Rows with a margin: entity and time, what came, and whether they were held out."""

    margin: Floats
    y: Floats
    keys: pl.DataFrame
    held_out: bool


def trust(
    rows: Judged,
    calibration: Calibration,
    needed: int,
    block: timedelta,
    before: Before | None = None,
) -> Trust:
    """Calibrate as far as the evidence goes; `needed` are positive blocks.

    Too few positives can't tell a slope, but the level they can: without it the weight an
    estimator gives to positives would stand in every probability. A fit that goes on knows better:
    what was found on all that its base had held out.
    """
    found = positive_blocks(rows.keys, rows.y, block)
    if calibration == "none":
        says = "Probabilities are not calibrated: train.calibration=none."
        return Trust("none", 1.0, 0.0, False, says, found)  # noqa: FBT003
    if rows.held_out and found >= needed:
        slope, intercept = platt.fit(rows.margin, rows.y)
        if slope > 0:
            says = f"Probabilities are calibrated on {found} positive blocks held out."
            return Trust("platt", slope, intercept, True, says, found)  # noqa: FBT003
        why = "where held out, a higher score does not fail more often."
    elif rows.held_out:
        why = f"{found} positive blocks, where {needed} are needed."
    else:
        why = "no stretch of time with both outcomes could be held out"
        why += "; the threshold is optimistic." if before is None else "."
    if before is not None:
        says = f"Calibration and threshold are those of the model that it goes on from: {why}"
        return Trust("kept", before.slope, before.intercept, before.calibrated, says, found)
    says = f"Probabilities are not calibrated, only their level is set: {why}"
    level = platt.fit_intercept(rows.margin, rows.y)
    return Trust("level", 1.0, level, False, says, found)  # noqa: FBT003


def positive_blocks(keys: pl.DataFrame, y: Floats, block: timedelta) -> int:
    """Count the blocks that hold a positive; independent rows are each a block."""
    if keys["time"].n_unique() <= 1:
        return int(y.sum())
    return len(np.unique(blocks.number(keys, block)[y == 1]))
