"""A candidate, from the rows that teach to the files of its one form; for stages and replays alike."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from cll import artifact, config
from cll import train as step
from cll.dataset import Dataset
from cll.values import Keep, Lineage, format_instant
from cll.workspace import Tree, libraries

# What a model's lineage quotes of the config: all that it takes to make it again, or to score.
LEARNT_FROM = ("source", "features", "label", "split", "estimator", "train")


def fit(
    rows: Dataset,
    tree: Tree,
    as_of: datetime,
    keep: Keep | None = None,
    report: Callable[[int, float], None] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """Fit a model on the rows that teach; return its files, by name, in its one form.

    `report` is told how each fold went; `notes` go into the lineage.
    """
    learnt = replace(rows.matrix(rows.split.train), keep=keep)
    held = rows.matrix(rows.split.holdout)
    taught = rows.rows.filter(pl.Series(rows.split.train))
    estimator = config.build("estimator", tree["estimator"])
    settings = config.build("train", tree["train"])
    metrics = config.build("metric", tree["metric"])
    with threadpool_limits(1, user_api="blas"):
        trained = step.train(
            *(learnt, taught, estimator, settings, rows.embargo, tree["seed"]),
            metrics=metrics,
            report=report,
        )
    predictor = artifact.Predictor(
        trained.model, rows.names, trained.slope, trained.intercept, trained.threshold
    )
    alert = predictor.alert(predictor.probability(held.X))
    accuracy = float(np.mean(alert == (held.y == 1)))
    lineage = _lineage(tree, taught, learnt.sha256, notes or {})
    return artifact.pack(predictor, format_instant(as_of), accuracy, lineage, trained.notes)


def _lineage(
    tree: Tree, taught: pl.DataFrame, matrix_sha256: str, notes: Mapping[str, Any]
) -> Lineage:
    first, last = taught.select(first=pl.min("time"), last=pl.max("time")).row(0)
    told = hashlib.sha256(matrix_sha256.encode())
    told.update("\0".join(taught["entity"]).encode())
    told.update(taught["time"].dt.epoch("us").to_numpy().tobytes())
    return Lineage(
        config={group: tree[group] for group in LEARNT_FROM},
        data_sha256=told.hexdigest(),
        train_from=format_instant(first),
        train_until=format_instant(last),
        rows=taught.height,
        positives=int(taught["label"].sum()),
        libraries=libraries(),
        notes=dict(notes),
    )
