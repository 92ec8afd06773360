"""The labelled rows that teach and judge, joined from what the stages before left on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from cll.config import components, project
from cll.config.project import Tree
from cll.pipeline.dataset.tables import Known, known, made_of
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.arrays import Features, Flags, Matrix, Split
from cll.types.errors import DataRefused
from cll.types.tables import GROUP
from cll.types.times import parse_instant


@dataclass(frozen=True)
class Dataset:
    """Labelled rows, sorted by entity and time, with their features and their part."""

    rows: pl.DataFrame  # LABELS, the numeric columns, GROUP where known, and `part`
    X: Features
    names: tuple[str, ...]
    split: Split
    horizon: timedelta  # of the label
    embargo: timedelta
    excluded: dict[str, int]  # rows without a label, by status

    def matrix(self, mask: Flags) -> Matrix:
        """Take the rows of `mask` as a design matrix."""
        y = self.rows["label"].to_numpy()[mask].astype(np.float64)
        return Matrix(self.X[mask], y, self.names)


_LAST: dict[str, Dataset] = {}  # one at most, by what it follows from


def shared(ws: Workspace, tree: Tree, world: project.World) -> Dataset:
    """Load, or return what this process loaded last where it follows from the same.

    For stages and jobs that come one after another in one process; nobody changes the rows.
    """
    by_chance = getattr(components.build("split", tree["split"]), "by_chance", True)
    seed = tree["seed"] if by_chance else None
    config_of = [tree["label"], tree["split"], tree["choices"]["label"], seed]
    follows_from = disk.digest([made_of(ws), config_of, world.as_of.isoformat()])
    if follows_from not in _LAST:
        _LAST.clear()  # before the next one is there: memory for both may lack
        _LAST[follows_from] = load(ws, tree, world)
    return _LAST[follows_from]


def load(ws: Workspace, tree: Tree, world: project.World) -> Dataset:
    """Join signals, features and labels, and split them."""
    return labelled(known(ws), tree, world.as_of)


def labelled(known: Known, tree: Tree, as_of: datetime) -> Dataset:
    """Label what was known at `as_of`, keep what has a label, and split it."""
    label = components.build("label", tree["label"])
    if tree["choices"]["label"] == "incident" and known.incidents.is_empty():
        raise DataRefused(
            "label=incident: no incident is known by as_of; map the source's incidents, or choose "
            "label=outcome."
        )
    labels = label(known.signals, known.incidents, as_of)
    mature = (labels["status"] == "mature").to_numpy()
    counted = labels["status"].value_counts().rows()
    kept = [*known.columns.numeric, *([GROUP] if known.columns.group else [])]
    rows = pl.concat([labels, known.signals.select(kept)], how="horizontal").filter(mature)
    splitter = components.build("split", tree["split"])
    split = splitter(rows, label.embargo, tree["seed"])
    part = np.where(split.train, "train", np.where(split.holdout, "holdout", "other"))
    names = tuple(name for name in known.features.columns if name not in {"entity", "time"})
    return Dataset(
        rows=rows.with_columns(part=pl.Series(part)),
        X=known.features.filter(mature).select(names).to_numpy(order="c"),
        names=names,
        split=split,
        horizon=label.horizon,
        embargo=label.embargo,
        excluded={status: count for status, count in sorted(counted) if status != "mature"},
    )


def learnt_until(lineage: Mapping[str, Any], embargo: timedelta) -> datetime:
    """Return the last instant of which a model's training knew: its last row's, and its label's."""
    try:
        last = parse_instant(lineage["train_until"])
    except (KeyError, ValueError):
        raise DataRefused(
            "The champion's lineage does not tell until when it learnt, so no row is surely new to it."
        ) from None
    return last + max(embargo - timedelta.resolution, timedelta(0))


def aligned(rows: Matrix, names: tuple[str, ...]) -> Features:
    """Pick a model's features out of rows that may have more, in the model's order."""
    if rows.names == names:
        return rows.X
    lacking = [name for name in names if name not in rows.names]
    if lacking:
        raise DataRefused(
            f"The champion reads {lacking[0]}, which these features lack; choose the features "
            "it was trained with."
        )
    return rows.X[:, [rows.names.index(name) for name in names]]
