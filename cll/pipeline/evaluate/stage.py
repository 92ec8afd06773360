"""Evaluation of candidate and champion on the held-out rows; used by the stage and by replay."""

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

# At most one item: the context prepared last, with its rows and the key of its other inputs.
_LAST: list[tuple["weakref.ref[Dataset]", tuple[Any, ...], step.Context]] = []


def judge(
    rows: Dataset,
    models: Mapping[str, Predictor],
    incidents: pl.DataFrame,
    numeric: Sequence[str],
    tree: Tree,
) -> step.Evaluation:
    """Evaluate `models` ("candidate", perhaps "champion") on the held-out rows.

    The results that all models share are computed once for the same `rows` object, so callers must
    not change the rows.
    """
    frame = scored(rows, models)
    champion_knew = None
    if "champion" in models and models["champion"].model_id != models["candidate"].model_id:
        champion_knew = labelled.trained_until(models["champion"].meta["lineage"], rows.embargo)
    inputs = step.Inputs(frame, incidents, numeric, rows.horizon, champion_knew)
    thresholds = {name: model.threshold for name, model in models.items()}
    return step.evaluate(inputs, thresholds, _context(rows, inputs, tree))


def scored(rows: Dataset, models: Mapping[str, Predictor]) -> pl.DataFrame:
    """Return all rows with p_NAME of each model, NaN where they are not held out."""
    held, frame = rows.matrix(rows.split.holdout), rows.rows
    for name, model in models.items():
        scores = np.full(frame.height, np.nan)
        scores[rows.split.holdout] = model.probability(labelled.aligned(held, model.names))
        frame = frame.with_columns(pl.Series(f"p_{name}", scores))
    return frame


def _context(rows: Dataset, inputs: step.Inputs, tree: Tree) -> step.Context:
    """Prepare the context, or return the last one if it is of the same rows object and settings."""
    key = (tuple(inputs.columns), tree["metric"], tree["evaluate"])
    for last_rows, last_key, context in _LAST:
        if last_rows() is rows and last_key == key:
            return context
    _LAST.clear()  # free the last context first: memory may not hold both
    metrics = components.build("metric", tree["metric"])
    settings = components.build("evaluate", tree["evaluate"])
    context = step.prepare(replace(inputs, rows=rows.rows), metrics, settings)
    _LAST.append((weakref.ref(rows), key, context))
    return context
