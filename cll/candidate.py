"""A candidate, from the rows that teach to the files of its one form; for stages and replays alike."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from cll import artifact, config, contest
from cll.artifact import Predictor
from cll.dataset import Dataset
from cll.lessons import Learnt, Means, learn
from cll.roles import Contest
from cll.values import Keep, Lineage, format_instant, parse_instant
from cll.workspace import Tree, libraries

# What a model's lineage quotes of the config: all that it takes to make it again, or to score.
LEARNT_FROM = ("source", "features", "label", "split", "estimator", "train", "update")


def reads_champion(tree: Tree) -> bool:
    """Tell whether `fit` needs the model in force."""
    return bool(config.build("update", tree["update"]).reads_champion)


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
    update, name = config.build("update", tree["update"]), tree["choices"]["update"]
    means = Means(
        rows=rows,
        asked={group: tree[group] for group in ("label", "features")},
        estimator=config.build("estimator", tree["estimator"]),
        settings=config.build("train", tree["train"]),
        metrics=config.build("metric", tree["metric"]),
        seed=tree["seed"],
        keep=keep,
        champion=champion if update.reads_champion else None,
    )
    told: dict[str, Any] = {}
    if isinstance(update, Contest):
        contenders = {
            each: config.build("update", node) for each, node in update.contenders.items() if node
        }
        gate = tree["gate"]
        result = contest.race(
            update, contenders, means, gate["metric"], lower=gate["better"] == "lower"
        )
        update, name, told["race"] = contenders[result.winner], result.winner, result.notes
    learnt = learn(update, rows.split.train, means, report)
    if learnt.trained is None:
        return artifact.as_read(learnt.predictor)
    told |= {"update": name, "update_says": _says(name, learnt, asked=update.reads_champion)}
    return _packed(learnt, means, tree, as_of, {**learnt.trained.notes, **told}, notes or {})


def how(files: Mapping[str, bytes]) -> str:
    """Say how a model came about, by its own notes."""
    told: str = json.loads(files[artifact.MODEL])["train"].get(
        "update_says", "it was there before."
    )
    return told


def _says(name: str, learnt: Learnt, *, asked: bool) -> str:
    """Say in a sentence how the model came about."""
    if learnt.base is not None:
        return f"update={name} went on from {learnt.base.model_id}."
    if asked:
        return f"update={name} had no model in force to go on from, so this was a full training."
    return f"update={name} trained afresh."


def _packed(
    learnt: Learnt,
    means: Means,
    tree: Tree,
    as_of: datetime,
    told: Mapping[str, Any],
    notes: Mapping[str, Any],
) -> dict[str, bytes]:
    held = means.rows.matrix(means.rows.split.holdout)
    alert = learnt.predictor.alert(learnt.predictor.probability(held.X))
    accuracy = float(np.mean(alert == (held.y == 1)))
    lineage = _lineage(learnt, means.rows, tree, notes)
    return artifact.pack(learnt.predictor, format_instant(as_of), accuracy, lineage, told)


def _lineage(learnt: Learnt, rows: Dataset, tree: Tree, notes: Mapping[str, Any]) -> Lineage:
    """Tell what the model learnt from, also by way of the one that it goes on from."""
    taught = rows.rows.filter(pl.Series(learnt.taught))
    first, last = taught.select(first=pl.min("time"), last=pl.max("time")).row(0)
    told = hashlib.sha256(rows.matrix(learnt.taught).sha256.encode())
    told.update("\0".join(taught["entity"]).encode())
    told.update(taught["time"].dt.epoch("us").to_numpy().tobytes())
    before: Mapping[str, Any] = learnt.base.meta["lineage"] if learnt.base is not None else {}
    if before:
        first = min(first, parse_instant(before["train_from"]))
        last = max(last, parse_instant(before["train_until"]))
    return Lineage(
        config={group: tree[group] for group in LEARNT_FROM},
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
