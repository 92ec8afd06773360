"""Train a candidate and return its files; used by the train stage and by replay."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from cll.config import catalog, components
from cll.config.fingerprint import libraries
from cll.config.project import Tree
from cll.model import artifact
from cll.model.artifact import Predictor
from cll.pipeline.dataset.labelled import Dataset
from cll.pipeline.train import race
from cll.pipeline.train.update import TrainingInputs, UpdateResult, apply
from cll.types.arrays import FileCache
from cll.types.components import Update, UpdateRace
from cll.types.directions import directions_in
from cll.types.times import format_instant, parse_instant
from cll.types.verdicts import Lineage

# Config groups that a model's lineage quotes: all that is needed to train it again, or to score.
LINEAGE_GROUPS = ("source", "features", "label", "split", "estimator", "train", "update")


def reads_champion(tree: Tree) -> bool:
    """Return whether `fit` needs the champion."""
    return bool(components.build("update", tree["update"]).reads_champion)


def fit(
    rows: Dataset,
    tree: Tree,
    as_of: datetime,
    keep: FileCache | None = None,
    report: Callable[[int, float], None] | None = None,
    notes: Mapping[str, Any] | None = None,
    champion: Predictor | None = None,
) -> dict[str, bytes]:
    """Fit a model on the training rows; return its files by name.

    `report` is called after each fold; `notes` go into the lineage. Updates that continue from the
    champion need `champion`; where the update keeps it, its own files are returned.
    """
    update = components.build("update", tree["update"])
    inputs = TrainingInputs(
        rows=rows,
        config={group: catalog.without_paths(tree[group]) for group in ("label", "features")},
        estimator=components.build("estimator", tree["estimator"]),
        settings=components.build("train", tree["train"]),
        metrics=components.build("metric", tree["metric"]),
        seed=tree["seed"],
        keep=keep,
        champion=champion if update.reads_champion else None,
    )
    name, update, train_notes = _chosen(update, inputs, tree)
    result = apply(update, rows.split.train, inputs, report)
    if result.trained is None:
        return artifact.repack(result.predictor)
    description = _describe_update(name, result, reads_champion=update.reads_champion)
    train_notes |= {"update": name, "update_says": description}
    held = rows.matrix(rows.split.holdout)
    alert = result.predictor.alert(result.predictor.probability(held.X))
    accuracy = float(np.mean(alert == (held.y == 1)))
    lineage = _lineage(result, rows, tree, notes or {})
    train_notes = {**result.trained.notes, **train_notes}
    return artifact.pack(result.predictor, format_instant(as_of), accuracy, lineage, train_notes)


def _chosen(
    update: Update | UpdateRace, inputs: TrainingInputs, tree: Tree
) -> tuple[str, Update, dict[str, Any]]:
    """Return name and update that train the candidate, and notes on how a race chose it."""
    if not isinstance(update, UpdateRace):
        return tree["choices"]["update"], update, {}
    named = {name: update.settings[name] for name in update.contenders}
    contenders = {name: components.build("update", node) for name, node in named.items()}
    metric = tree["gate"]["metric"]
    lower = directions_in(tree)[metric] == "lower"
    result = race.race(update, contenders, inputs, metric, lower=lower)
    return result.winner, contenders[result.winner], {"race": result.notes}


def describe(files: Mapping[str, bytes]) -> str:
    """Return a summary of a model's training rows, features and update, read from model.json."""
    form = json.loads(files[artifact.MODEL])
    lineage, description = form["lineage"], form["train"].get("update_says", "it was there before.")
    rows = f"{lineage['rows']:,} rows, {lineage['positives']:,} positive"
    return f"{rows}, {len(form['features'])} features; {description}"


def _describe_update(name: str, result: UpdateResult, *, reads_champion: bool) -> str:
    """Return a sentence on how the update trained the model."""
    if result.base is not None:
        return f"update={name} went on from {result.base.model_id}."
    if reads_champion:
        return f"update={name} had no model in force to go on from, so this was a full training."
    return f"update={name} trained afresh."


def _lineage(result: UpdateResult, rows: Dataset, tree: Tree, notes: Mapping[str, Any]) -> Lineage:
    """Return the model's lineage; its time span includes the training of its base."""
    training_rows = rows.rows.filter(pl.Series(result.training_rows))
    first, last = training_rows.select(first=pl.min("time"), last=pl.max("time")).row(0)
    digest = hashlib.sha256(result.matrix_sha256.encode())
    digest.update("\0".join(training_rows["entity"].unique(maintain_order=True)).encode())
    for column in (training_rows["entity"].rle_id(), training_rows["time"].dt.epoch("us")):
        digest.update(column.to_numpy().astype("<i8").tobytes())
    base_lineage: Mapping[str, Any] = result.base.meta["lineage"] if result.base is not None else {}
    if base_lineage:
        first = min(first, parse_instant(base_lineage["train_from"]))
        last = max(last, parse_instant(base_lineage["train_until"]))
    return Lineage(
        config={group: catalog.without_paths(tree[group]) for group in LINEAGE_GROUPS},
        data_sha256=digest.hexdigest(),
        train_from=format_instant(first),
        train_until=format_instant(last),
        rows=training_rows.height,
        positives=int(training_rows["label"].sum()),
        libraries=libraries(),
        notes=dict(notes),
        base="none" if result.base is None else result.base.model_id,
        base_rows=base_lineage.get("rows", 0) + base_lineage.get("base_rows", 0),
    )
