"""The figures of candidate and champion on the rows that are held out; for stages and replays alike."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from cll import config, dataset
from cll import evaluate as step
from cll.artifact import Predictor
from cll.dataset import Dataset
from cll.workspace import Tree


def judge(
    rows: Dataset,
    models: Mapping[str, Predictor],
    incidents: pl.DataFrame,
    numeric: Sequence[str],
    tree: Tree,
) -> step.Evaluation:
    """Judge `models` ("candidate", perhaps "champion") on the rows that are held out."""
    held, frame = rows.matrix(rows.split.holdout), rows.rows
    for name, model in models.items():
        scores = np.full(frame.height, np.nan)
        scores[rows.split.holdout] = model.probability(dataset.aligned(held, model.names))
        frame = frame.with_columns(pl.Series(f"p_{name}", scores))
    saw = None
    if "champion" in models and models["champion"].model_id != models["candidate"].model_id:
        saw = dataset.learnt_until(models["champion"].meta["lineage"], rows.embargo)
    return step.evaluate(
        step.Evidence(frame, incidents, numeric, rows.horizon, saw),
        {name: model.threshold for name, model in models.items()},
        config.build("metric", tree["metric"]),
        config.build("evaluate", tree["evaluate"]),
    )
