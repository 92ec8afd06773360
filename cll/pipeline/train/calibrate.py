"""Calibration of a model's log-odds to probabilities, as far as the evidence allows."""

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
class FittedCalibration:
    """Slope and intercept for the log-odds, and the explanation in the model card.

    Kind "platt" fits both, "level" the intercept only, "none" nothing; "kept" takes the base's fit.
    """

    kind: Literal["platt", "level", "none", "kept"]
    slope: float
    intercept: float
    calibrated: bool
    explanation: str
    positive_blocks: int

    @property
    def notes(self) -> dict[str, Any]:
        return {
            "calibration": self.kind,
            "calibrated": self.calibrated,
            "positive_blocks": self.positive_blocks,
            "says": self.explanation,
        }


@dataclass(frozen=True)
class BaseCalibration:
    """Calibration and threshold of the model that a fit continues from."""

    slope: float
    intercept: float
    threshold: float
    calibrated: bool


@dataclass(frozen=True)
class ScoredRows:
    """Rows with a model's log-odds, and whether that model was fitted without them."""

    margin: Floats
    y: Floats  # the labels
    keys: pl.DataFrame  # entity and time
    held_out: bool


def calibrate(
    rows: ScoredRows,
    calibration: Calibration,
    needed: int,
    block: timedelta,
    base: BaseCalibration | None = None,
) -> FittedCalibration:
    """Return the calibration for `rows`; Platt scaling needs `needed` positive blocks.

    With fewer, only the level is set: the mean probability is made equal to the share of positives,
    since estimators may weight positive rows. A fit that continues from a base keeps the base's
    calibration then, because that rests on more evidence.
    """
    blocks_found = positive_blocks(rows.keys, rows.y, block)
    if calibration == "none":
        explanation = "Probabilities are not calibrated: train.calibration=none."
        return FittedCalibration("none", 1.0, 0.0, False, explanation, blocks_found)  # noqa: FBT003
    if rows.held_out and blocks_found >= needed:
        slope, intercept = platt.fit(rows.margin, rows.y)
        if slope > 0:
            explanation = (
                f"Probabilities are calibrated on {blocks_found} positive blocks held out."
            )
            return FittedCalibration("platt", slope, intercept, True, explanation, blocks_found)  # noqa: FBT003
        reason = "where held out, a higher score does not fail more often."
    elif rows.held_out:
        reason = f"{blocks_found} positive blocks, where {needed} are needed."
    else:
        reason = "no stretch of time with both outcomes could be held out"
        reason += "; the threshold is optimistic." if base is None else "."
    if base is not None:
        explanation = (
            f"Calibration and threshold are those of the model that it goes on from: {reason}"
        )
        return FittedCalibration(
            "kept", base.slope, base.intercept, base.calibrated, explanation, blocks_found
        )
    explanation = f"Probabilities are not calibrated, only their level is set: {reason}"
    level = platt.fit_intercept(rows.margin, rows.y)
    return FittedCalibration("level", 1.0, level, False, explanation, blocks_found)  # noqa: FBT003


def positive_blocks(keys: pl.DataFrame, y: Floats, block: timedelta) -> int:
    """Count the blocks with a positive row.

    If all rows have one time, each row counts as a block.
    """
    if keys["time"].n_unique() <= 1:
        return int(y.sum())
    return len(np.unique(blocks.number(keys, block)[y == 1]))
