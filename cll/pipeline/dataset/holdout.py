"""Boundary of a holdout, and the check that both sides of a split have rows of both classes."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cll.types.arrays import Flags, Split
from cll.types.errors import DataRefused
from cll.types.times import format_instant


def boundary(rows: pl.DataFrame, share: float) -> datetime | None:
    """Return the time at which the newest `share` of the rows begins; equal times stay together."""
    times = rows["time"].sort()
    return times[min(int(len(times) * (1 - share)), len(times) - 1)] if len(times) else None


def before(rows: pl.DataFrame, instant: datetime, embargo: timedelta) -> Flags:
    """Return a mask of the rows before `instant` whose labels were known by then.

    A label is known when the embargo has passed, and at its `known_at` where that column exists.
    """
    known_at = [name for name in ("known_at",) if name in rows.columns]
    ends = pl.max_horizontal(pl.col("time") + embargo, *known_at)
    return rows.select((ends <= instant) & (pl.col("time") < instant)).to_series().to_numpy()


def held_out(entities: Iterable[str], share: float, seed: int) -> list[str]:
    """Return `share` of the entities, chosen by a hash of their names; at least one, if any."""

    def drawn(name: str) -> bytes:
        return hashlib.sha256(f"{seed}:{name}".encode()).digest()

    names = sorted(set(entities), key=drawn)
    return names[: max(1, round(len(names) * share))]


def check(split: Split, rows: pl.DataFrame, key: str, way_out: str) -> Split:
    """Return the split; refuse it if training rows or holdout are empty or have one class only."""
    label = rows["label"].to_numpy()
    for mask, use in ((split.train, "train on"), (split.holdout, "judge by")):
        classes = np.unique(label[mask])
        if len(classes) <= 1:
            problem = f"only rows with label {classes[0]:.0f}" if len(classes) else "no row"
            raise DataRefused(f"{key} leaves {problem} to {use}: {_spans(rows)}; {way_out}")
    return split


def _spans(rows: pl.DataFrame) -> str:
    if not rows.height:
        return "there are no labelled rows"
    positives = int(rows["label"].sum())
    times = rows["time"].sort()
    first, last = format_instant(times[0]), format_instant(times[-1])
    return f"{rows.height} labelled rows, {positives} positive, from {first} to {last}"
