"""Choice of the alert threshold: the probability that is best by a given rule on held-out rows."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Gt
from numpy.typing import NDArray

from cll.types.arrays import Floats
from cll.types.errors import DataRefused

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Threshold:
    """The rule for the threshold; each value is used by its own rule only."""

    rule: Literal["f1", "accuracy", "cost", "budget"] = "f1"
    miss_cost: Annotated[float, Gt(0)] = 10.0
    false_alarm_cost: Annotated[float, Gt(0)] = 1.0
    alerts_per_day: Annotated[float, Gt(0)] = 5.0


def choose(settings: Threshold, p: Floats, y: Floats, keys: pl.DataFrame) -> float:
    """Return the threshold, half-way between two observed probabilities; ties go to fewer alerts.

    `keys` has entity and time of each row. Rule "budget" counts how often an entity starts to alert.
    """
    falling, rows = np.unique(-p, return_counts=True)
    levels, alerting = -falling, np.cumsum(rows)
    caught = np.cumsum(y[np.argsort(-p, kind="stable")])[alerting - 1]
    if settings.rule == "f1":
        return _between(levels, int(np.argmax(2 * caught / (alerting + y.sum()))))
    if settings.rule in {"cost", "accuracy"}:
        both = (settings.miss_cost, settings.false_alarm_cost)
        miss, false_alarm = both if settings.rule == "cost" else (1.0, 1.0)
        cost = false_alarm * (alerting - caught) + miss * (y.sum() - caught)
        none = miss * y.sum()
        return _between(levels, int(np.argmin(cost)) if cost.min() < none else -1)
    started = _starts(p, levels, keys)
    over = started > settings.alerts_per_day * _days(keys)
    return _between(levels, int(np.argmax(over)) - 1 if over.any() else len(levels) - 1)


def _between(levels: Floats, chosen: int) -> float:
    """Return a threshold that `levels[chosen]` reaches and the next lower level does not.

    With -1, no level reaches it.
    """
    above = levels[chosen] if chosen >= 0 else math.nextafter(1.0, 2.0)
    if chosen + 1 == len(levels):
        return float(above)
    middle = float((above + levels[chosen + 1]) / 2)
    return middle if middle > levels[chosen + 1] else float(above)


def _starts(p: Floats, levels: Floats, keys: pl.DataFrame) -> NDArray[np.int64]:
    """Count alerts that start at each level: rows that reach it while the row before does not."""
    order = keys.with_row_index("row").sort("entity", "time", "row")
    rows = order["row"].to_numpy()
    first = (order["entity"] != order["entity"].shift(1)).fill_null(value=True).to_numpy()
    now = p[rows]
    both = np.where(first, -np.inf, np.minimum(now, np.roll(now, 1)))
    reached = len(now) - np.searchsorted(np.sort(now), levels, side="left")
    still = len(both) - np.searchsorted(np.sort(both), levels, side="left")
    return reached - still


def _days(keys: pl.DataFrame) -> float:
    times = keys["time"].dt.epoch("us").to_numpy()
    span = float(times.max() - times.min()) / DAY_US
    if span == 0:
        raise DataRefused(
            "train.threshold.rule=budget counts alerts per day, and all rows have one time:"
            " choose f1, accuracy or cost."
        )
    return span
