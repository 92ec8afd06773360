"""Labelled rows for training and evaluation, joined from the tables of earlier stages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from cll.config import components, project
from cll.config.project import Tree
from cll.pipeline.dataset import tables as stage_tables
from cll.pipeline.dataset.tables import Tables
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.arrays import Features, Flags, Matrix, Split
from cll.types.errors import DataRefused
from cll.types.tables import GROUP
from cll.types.times import parse_instant


@dataclass(frozen=True)
class Dataset:
    """Labelled rows, sorted by entity and time, with their features and their part of the split."""

    rows: pl.DataFrame  # LABELS, the numeric columns, GROUP where the source has it, and `part`
    X: Features
    names: tuple[str, ...]
    split: Split
    horizon: timedelta  # horizon of the label
    embargo: timedelta
    excluded: dict[str, int]  # rows without a label, by status

    def matrix(self, mask: Flags) -> Matrix:
        """Return the rows of `mask` as a design matrix."""
        y = self.rows["label"].to_numpy()[mask].astype(np.float64)
        return Matrix(self.X[mask], y, self.names)


_LAST: dict[str, Dataset] = {}  # at most one data set, by the digest of its inputs


def shared(ws: Workspace, tree: Tree, world: project.World) -> Dataset:
    """Load labelled rows, or return those that this process loaded last if the inputs are equal.

    Stages and jobs that run one after another in a process share them, so callers must not change
    the rows.
    """
    by_chance = getattr(components.build("split", tree["split"]), "by_chance", True)
    seed = tree["seed"] if by_chance else None
    config = [tree["label"], tree["split"], tree["choices"]["label"], seed]
    key = disk.digest([stage_tables.digest(ws), config, world.as_of.isoformat()])
    if key not in _LAST:
        _LAST.clear()  # free the last data set first: memory may not hold both
        _LAST[key] = load(ws, tree, world)
    return _LAST[key]


def load(ws: Workspace, tree: Tree, world: project.World) -> Dataset:
    """Read signals, features and incidents, compute labels, and split the labelled rows."""
    return build(stage_tables.load(ws), tree, world.as_of)


def build(tables: Tables, tree: Tree, as_of: datetime) -> Dataset:
    """Label the rows as known at `as_of`, keep those with a mature label, and split them."""
    label = components.build("label", tree["label"])
    if tree["choices"]["label"] == "incident" and tables.incidents.is_empty():
        raise DataRefused(
            "label=incident: no incident is known by as_of; map the source's incidents, or choose "
            "label=outcome."
        )
    labels = label(tables.signals, tables.incidents, as_of)
    mature = (labels["status"] == "mature").to_numpy()
    counted = labels["status"].value_counts().rows()
    columns = [*tables.columns.numeric, *([GROUP] if tables.columns.group else [])]
    rows = pl.concat([labels, tables.signals.select(columns)], how="horizontal").filter(mature)
    splitter = components.build("split", tree["split"])
    split = splitter(rows, label.embargo, tree["seed"])
    part = np.where(split.train, "train", np.where(split.holdout, "holdout", "other"))
    names = tuple(name for name in tables.features.columns if name not in {"entity", "time"})
    return Dataset(
        rows=rows.with_columns(part=pl.Series(part)),
        X=tables.features.filter(mature).select(names).to_numpy(order="c"),
        names=names,
        split=split,
        horizon=label.horizon,
        embargo=label.embargo,
        excluded={status: count for status, count in sorted(counted) if status != "mature"},
    )


def trained_until(lineage: Mapping[str, Any], embargo: timedelta) -> datetime:
    """Return the last instant that a model's training knew of.

    This is the time of its last training row plus the embargo, because that row's label looks ahead.
    """
    try:
        last = parse_instant(lineage["train_until"])
    except (KeyError, ValueError):
        raise DataRefused(
            "The champion's lineage has no valid train_until, so it is unknown which rows are new"
            " to it; train it again with update=full."
        ) from None
    return last + max(embargo - timedelta.resolution, timedelta(0))


def aligned(rows: Matrix, names: tuple[str, ...]) -> Features:
    """Return the features that a model reads, in the model's order.

    `rows` may have more columns.
    """
    if rows.names == names:
        return rows.X
    missing = [name for name in names if name not in rows.names]
    if missing:
        raise DataRefused(
            f"The champion reads {missing[0]}, which these features lack; choose the features "
            "it was trained with."
        )
    return rows.X[:, [rows.names.index(name) for name in names]]
