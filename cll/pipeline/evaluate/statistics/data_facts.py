"""Facts on the evaluated data: numbers of rows and blocks, time spans, and signs of label leakage."""

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

# Rows needed of each class: with fewer, some column separates the classes by chance.
ENOUGH = 10


def counts(rows: pl.DataFrame) -> dict[str, Any]:
    """Return the numbers of entities, rows and positives, and the time span of each part.

    Each row is trained on, held out, or embargoed (on neither side of the split).
    """
    facts: dict[str, Any] = {"entities": rows["entity"].n_unique()}
    train, held = (rows.filter(pl.col("part") == part) for part in ("train", "holdout"))
    for prefix, part in (("", rows), ("train_", train), ("holdout_", held)):
        facts[f"{prefix}rows"] = part.height
        facts[f"{prefix}positives"] = int((part["label"] == 1).sum())
        if part.height and prefix:
            span = part.select(first=pl.col("time").min(), last=pl.col("time").max()).row(0)
            facts[f"{prefix}from"] = format_instant(span[0])
            facts[f"{prefix}until"] = format_instant(span[1])
    return facts | {"embargoed": rows.height - train.height - held.height}


def count_blocks(y: Floats, block: NDArray[np.int64]) -> dict[str, int]:
    """Return the number of blocks of the holdout, and of those with a positive row."""
    return {"blocks": int(block.max()) + 1, "positive_blocks": len(np.unique(block[y > 0]))}


def holdout_id(held: pl.DataFrame, block: NDArray[np.int64], replicates: int, seed: int) -> str:
    """Return an id of the held-out rows and of the bootstrap's draws.

    Metrics with the same id rest on the same rows and draws, so their difference is paired.
    """
    entities = held["entity"].unique(maintain_order=True)
    digest = hashlib.sha256("\n".join([f"{replicates},{seed}", *entities]).encode())
    columns = held.select(pl.col("entity").rle_id(), pl.col("time").dt.epoch("us"), "label")
    for values in (*(column.to_numpy() for column in columns), block):
        digest.update(values.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def leakage(train: pl.DataFrame, held: pl.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Return the facts that the gate checks for label leakage into the training rows.

    The best single column is left out where a class has fewer than `ENOUGH` training rows.
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


def champion_overlap(held: pl.DataFrame, until: datetime | None) -> dict[str, Any]:
    """Return the number of held-out rows from the time that the champion's training knew of.

    Such rows favour the champion, since they are not new to it as they are to the candidate.
    """
    if until is None:
        return {}
    return {
        "champion_rows": int((held["time"] <= until).sum()),
        "champion_saw_until": format_instant(until),
    }
