"""What the figures rest on: how many rows of which time, and signs that an answer leaked in."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.evaluate.statistics import baselines
from cll.types.arrays import Floats
from cll.types.times import format_instant

# Rows of either class: among fewer, some column tells the classes apart by mere chance.
ENOUGH = 10


def counts(rows: pl.DataFrame) -> dict[str, Any]:
    """Count entities, rows and positives, and tell each part's span.

    Each row is trained on, held out, or embargoed: on neither side of the split.
    """
    told: dict[str, Any] = {"entities": rows["entity"].n_unique()}
    train, held = (rows.filter(pl.col("part") == part) for part in ("train", "holdout"))
    for prefix, part in (("", rows), ("train_", train), ("holdout_", held)):
        told[f"{prefix}rows"] = part.height
        told[f"{prefix}positives"] = int((part["label"] == 1).sum())
        if part.height and prefix:
            span = part.select(first=pl.col("time").min(), last=pl.col("time").max()).row(0)
            told[f"{prefix}from"] = format_instant(span[0])
            told[f"{prefix}until"] = format_instant(span[1])
    return told | {"embargoed": rows.height - train.height - held.height}


def evidence(y: Floats, block: NDArray[np.int64]) -> dict[str, int]:
    """Count the blocks of the holdout, and those with a positive row."""
    return {"blocks": int(block.max()) + 1, "positive_blocks": len(np.unique(block[y > 0]))}


def holdout_id(held: pl.DataFrame, block: NDArray[np.int64], replicates: int, seed: int) -> str:
    """Name the rows that judge and how they are redrawn.

    Figures with the same id rest on the same rows in the same draws, so their difference is paired.
    """
    entities = held["entity"].unique(maintain_order=True)
    found = hashlib.sha256("\n".join([f"{replicates},{seed}", *entities]).encode())
    columns = held.select(pl.col("entity").rle_id(), pl.col("time").dt.epoch("us"), "label")
    for values in (*(column.to_numpy() for column in columns), block):
        found.update(values.astype("<i8").tobytes())
    return found.hexdigest()[:16]


def leakage(train: pl.DataFrame, held: pl.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Gather what the gate takes for signs that an answer leaked into the training.

    No column is named where a class has fewer than `ENOUGH` training rows.
    """
    keys = ["entity", "time"]
    facts: dict[str, Any] = {
        "shared_rows": held.join(train, on=keys, how="semi").height,
        "late_train_rows": int((train["time"] >= held["time"].min()).sum()),
    }
    positives = int((train["label"] == 1).sum())
    if min(positives, train.height - positives) < ENOUGH:
        return facts
    areas = baselines.column_areas(train, columns)
    if areas:
        column = max(areas, key=lambda name: areas[name])
        facts |= {"best_column": column, "best_column_auc": areas[column]}
    return facts


def seen(held: pl.DataFrame, until: datetime | None) -> dict[str, Any]:
    """Count the held-out rows of a time that the champion's training knew of.

    Such rows favour it: they are not new to it as they are to the candidate.
    """
    if until is None:
        return {}
    return {
        "champion_rows": int((held["time"] <= until).sum()),
        "champion_saw_until": format_instant(until),
    }
