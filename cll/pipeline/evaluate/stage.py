"""The figures of candidate and champion on the rows that are held out; for stages and replays alike."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from cll.config import components
from cll.config.project import Tree
from cll.model.artifact import Predictor
from cll.pipeline.dataset import labelled
from cll.pipeline.dataset.labelled import Dataset
from cll.pipeline.evaluate import evaluate as step

# One at most: the ground that was prepared last, of which rows, and by what else it follows from.
_LAST: list[tuple["weakref.ref[Dataset]", tuple[Any, ...], step.Ground]] = []


def judge(
    rows: Dataset,
    models: Mapping[str, Predictor],
    incidents: pl.DataFrame,
    numeric: Sequence[str],
    tree: Tree,
) -> step.Evaluation:
    """Judge `models` ("candidate", perhaps "champion") on the rows that are held out.

    What all models on these rows have in common is made once, as long as one and the same
    `rows` are handed in; nobody changes them.
    """
    frame = scored(rows, models)
    saw = None
    if "champion" in models and models["champion"].model_id != models["candidate"].model_id:
        saw = labelled.learnt_until(models["champion"].meta["lineage"], rows.embargo)
    evidence = step.Evidence(frame, incidents, numeric, rows.horizon, saw)
    thresholds = {name: model.threshold for name, model in models.items()}
    return step.evaluate(evidence, thresholds, _ground(rows, evidence, tree))


def scored(rows: Dataset, models: Mapping[str, Predictor]) -> pl.DataFrame:
    """Return all rows with p_NAME of each model, NaN where they are not held out."""
    held, frame = rows.matrix(rows.split.holdout), rows.rows
    for name, model in models.items():
        scores = np.full(frame.height, np.nan)
        scores[rows.split.holdout] = model.probability(labelled.aligned(held, model.names))
        frame = frame.with_columns(pl.Series(f"p_{name}", scores))
    return frame


def _ground(rows: Dataset, evidence: step.Evidence, tree: Tree) -> step.Ground:
    """Prepare, or return what was prepared last where it was of these very rows and settings."""
    follows_from = (tuple(evidence.columns), tree["metric"], tree["evaluate"])
    for of, before, ground in _LAST:
        if of() is rows and before == follows_from:
            return ground
    _LAST.clear()  # before the next one is there: memory for both may lack
    metrics = components.build("metric", tree["metric"])
    settings = components.build("evaluate", tree["evaluate"])
    ground = step.prepare(replace(evidence, rows=rows.rows), metrics, settings)
    _LAST.append((weakref.ref(rows), follows_from, ground))
    return ground
