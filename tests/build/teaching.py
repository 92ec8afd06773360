"""Labelled rows of some days, in memory, and candidates that are trained on them."""

import functools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from cll.components.split.time import Time
from cll.model import artifact
from cll.pipeline.compose import compose
from cll.pipeline.dataset.labelled import Dataset
from cll.pipeline.train import candidate

ROOT = Path(__file__).parents[2]
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EMBARGO = timedelta(minutes=30)
NAMES = ("a", "b", "c")
QUICK = ("estimator.max_rounds=40", "estimator.patience=5", "estimator.min_data_in_leaf=20")
LOGISTIC = ("estimator=logistic",)


def rows(days, drift=0.0, seed=0, entities=12, quiet=()):
    """Return labelled half-hours of a small fleet; with `drift`, the second column slowly replaces
    the first as the cause of failures.

    The newest quarter is the holdout. On `quiet` days, counted from 0, nothing fails.
    """
    chance = np.random.default_rng(seed)
    per_day, kinds = 48, entities
    count = days * per_day * kinds
    X = chance.normal(size=(count, 3)).astype(np.float32)
    step = np.arange(count) // kinds
    late = np.clip(step / per_day / 20, 0, 1) * drift
    odds = 2 * (X[:, 0] * (1 - late) + X[:, 1] * late) - 2.5
    label = (chance.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    label[np.isin(step // per_day, quiet)] = 0
    times = [START + timedelta(minutes=30) * int(at) for at in step]
    frame = pl.DataFrame(
        {
            "entity": [f"e{number % kinds:02}" for number in range(count)],
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "label": label,
        }
    ).with_columns(known_at=pl.col("time") + EMBARGO)
    order = frame.with_row_index().sort("entity", "time")["index"].to_numpy()
    frame = frame.sort("entity", "time")
    split = Time()(frame, EMBARGO, 0)
    return Dataset(frame, X[order], NAMES, split, timedelta(0), EMBARGO, {})


@functools.cache
def tree(*overrides):
    return compose.resolve(ROOT / "conf", {}, list(overrides))


def made(data, *overrides, champion=None):
    """Train a candidate, write it, and load it again."""
    as_of = data.rows["known_at"].max()
    files = candidate.fit(data, tree(*overrides), as_of, champion=champion)
    return files, artifact.unpack(files)


def notes(model):
    return json.loads(model.files[artifact.MODEL])["train"]
