"""A candidate, from the rows that teach to the files of its one form; for stages and replays alike."""

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
from cll.pipeline.train.update import Learnt, Means, learn
from cll.types.arrays import Keep
from cll.types.components import Contest, Update
from cll.types.directions import directions_in
from cll.types.times import format_instant, parse_instant
from cll.types.verdicts import Lineage

# What a model's lineage quotes of the config: all that it takes to make it again, or to score.
LEARNT_FROM = ("source", "features", "label", "split", "estimator", "train", "update")


def reads_champion(tree: Tree) -> bool:
    """Tell whether `fit` needs the model in force."""
    return bool(components.build("update", tree["update"]).reads_champion)


def fit(
    rows: Dataset,
    tree: Tree,
    as_of: datetime,
    keep: Keep | None = None,
    report: Callable[[int, float], None] | None = None,
    notes: Mapping[str, Any] | None = None,
    champion: Predictor | None = None,
) -> dict[str, bytes]:
    """Fit a model on the rows that teach; return its files, by name, in its one form.

    `report` is told how each fold went; `notes` go into the lineage. `champion` is the model in
    force, for updates that go on from it; where it stays, its own files are returned.
    """
    update = components.build("update", tree["update"])
    means = Means(
        rows=rows,
        asked={group: catalog.without_paths(tree[group]) for group in ("label", "features")},
        estimator=components.build("estimator", tree["estimator"]),
        settings=components.build("train", tree["train"]),
        metrics=components.build("metric", tree["metric"]),
        seed=tree["seed"],
        keep=keep,
        champion=champion if update.reads_champion else None,
    )
    name, update, told = _chosen(update, means, tree)
    learnt = learn(update, rows.split.train, means, report)
    if learnt.trained is None:
        return artifact.repack(learnt.predictor)
    told |= {"update": name, "update_says": _says(name, learnt, asked=update.reads_champion)}
    held = rows.matrix(rows.split.holdout)
    alert = learnt.predictor.alert(learnt.predictor.probability(held.X))
    accuracy = float(np.mean(alert == (held.y == 1)))
    lineage = _lineage(learnt, rows, tree, notes or {})
    told = {**learnt.trained.notes, **told}
    return artifact.pack(learnt.predictor, format_instant(as_of), accuracy, lineage, told)


def _chosen(
    update: Update | Contest, means: Means, tree: Tree
) -> tuple[str, Update, dict[str, Any]]:
    """Return the update that makes the candidate, its name, and how it was chosen."""
    if not isinstance(update, Contest):
        return tree["choices"]["update"], update, {}
    named = {name: update.settings[name] for name in update.contenders}
    contenders = {name: components.build("update", node) for name, node in named.items()}
    metric = tree["gate"]["metric"]
    lower = directions_in(tree)[metric] == "lower"
    result = race.race(update, contenders, means, metric, lower=lower)
    return result.winner, contenders[result.winner], {"race": result.notes}


def how(files: Mapping[str, bytes]) -> str:
    """Say what a model learnt from, and how it came about, by its own notes."""
    form = json.loads(files[artifact.MODEL])
    lineage, says = form["lineage"], form["train"].get("update_says", "it was there before.")
    rows = f"{lineage['rows']:,} rows, {lineage['positives']:,} positive"
    return f"{rows}, {len(form['features'])} features; {says}"


def _says(name: str, learnt: Learnt, *, asked: bool) -> str:
    """Say in a sentence how the model came about."""
    if learnt.base is not None:
        return f"update={name} went on from {learnt.base.model_id}."
    if asked:
        return f"update={name} had no model in force to go on from, so this was a full training."
    return f"update={name} trained afresh."


def _lineage(learnt: Learnt, rows: Dataset, tree: Tree, notes: Mapping[str, Any]) -> Lineage:
    """Tell what the model learnt from, also by way of the one that it goes on from."""
    taught = rows.rows.filter(pl.Series(learnt.taught))
    first, last = taught.select(first=pl.min("time"), last=pl.max("time")).row(0)
    told = hashlib.sha256(learnt.matrix_sha256.encode())
    told.update("\0".join(taught["entity"].unique(maintain_order=True)).encode())
    for column in (taught["entity"].rle_id(), taught["time"].dt.epoch("us")):
        told.update(column.to_numpy().astype("<i8").tobytes())
    before: Mapping[str, Any] = learnt.base.meta["lineage"] if learnt.base is not None else {}
    if before:
        first = min(first, parse_instant(before["train_from"]))
        last = max(last, parse_instant(before["train_until"]))
    return Lineage(
        config={group: catalog.without_paths(tree[group]) for group in LEARNT_FROM},
        data_sha256=told.hexdigest(),
        train_from=format_instant(first),
        train_until=format_instant(last),
        rows=taught.height,
        positives=int(taught["label"].sum()),
        libraries=libraries(),
        notes=dict(notes),
        base="none" if learnt.base is None else learnt.base.model_id,
        base_rows=before.get("rows", 0) + before.get("base_rows", 0),
    )
