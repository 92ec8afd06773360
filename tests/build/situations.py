"""Trigger inputs of a small fleet: one row per hour and entity, noise in two columns, and a score."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from cll.types.tables import INSTANT, LABELS
from cll.types.triggers import Situation

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
COLUMNS = ("cpu", "memory")
_ENTITIES = 10


def rows(days=40, seed=0, moved=None, misled=None, by=3.0):
    """Return rows; columns and score rise by `by` at day `moved`, the score is noise from day `misled` on."""
    rng = np.random.default_rng(seed)
    count = days * 24 * _ENTITIES
    hour = np.repeat(np.arange(days * 24), _ENTITIES) + 1
    time = pl.Series([START], dtype=INSTANT)[0] + pl.Series(hour * 3_600_000_000).cast(
        pl.Duration("us")
    )
    day = (hour - 1) // 24
    cpu, memory, other = rng.normal(size=(3, count))
    chance = 1 / (1 + np.exp(2 - cpu))
    label = rng.random(count) < chance
    drift = 0 if moved is None else by * (day >= moved)
    score = (
        chance if misled is None else np.where(day >= misled, 1 / (1 + np.exp(2 - other)), chance)
    )
    return pl.DataFrame(
        {
            "entity": [f"e{i}" for i in range(_ENTITIES)] * (days * 24),
            "time": time,
            "label": label.astype(np.int8),
            "status": ["mature"] * count,
            "known_at": time + HOUR,
            "incident": pl.Series([None] * count, dtype=pl.Int32),
            "kind": pl.Series([None] * count, dtype=pl.String),
            "chance": pl.Series([None] * count, dtype=pl.Float64),
            "cpu": cpu + drift,
            "memory": memory,
            "p": score,
        },
        schema_overrides=LABELS | {"time": INSTANT},
    )


def at(frame, day, learnt=20, trained=25, **known):
    """Return the trigger input at the end of `day` (from 1), for a model trained until day `learnt`."""
    as_of = START + day * DAY
    seen = frame.filter(pl.col("time") <= as_of).with_columns(
        status=pl.when(pl.col("known_at") <= as_of).then("status").otherwise(pl.lit("immature"))
    )
    seen = seen.with_columns(label=pl.when(pl.col("status") == "mature").then("label"))
    told = {
        "champion": "0123456789abcdef",
        "trained": None if trained is None else START + trained * DAY,
        "champion_trained_until": START + learnt * DAY,
        "threshold": 0.5,
    }
    return Situation(as_of, lambda: seen, COLUMNS, **told | known)


def without_model(situation):
    return replace(situation, champion="none", champion_trained_until=None, threshold=None)
