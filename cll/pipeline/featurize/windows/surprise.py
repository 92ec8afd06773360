"""Surprise of a row: log(1 + |z|), where z compares a value with the entity's rows before it.

A fault may raise or lower a value, and different faults show in different columns. Signs and units
can't be compared between columns or entities, but the sizes of deviations can: among the entities
at one instant, and across the columns of one row.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt

from cll.pipeline.featurize.windows import median_mad, moments, rolling
from cll.pipeline.featurize.windows.peers import Comparison
from cll.pipeline.featurize.windows.rolling import Rows
from cll.types.arrays import Floats
from cll.types.errors import config_error
from cll.types.times import Duration, format_duration

_DIGITS = 9  # processors differ in the last digit of a logarithm

Named = Iterator[tuple[str, Floats]]


@dataclass(frozen=True)
class Summary:
    """Settings for a row's statistics over all columns.

    They are mean and maximum of the surprise, and the share of columns with |z| over `above`.
    """

    window: Duration = timedelta(hours=1)
    statistics: tuple[Literal["mean", "max", "share"], ...] = ("mean", "max", "share")
    clip: Annotated[float, Gt(0)] = 10.0
    above: Annotated[float, Gt(0)] = 3.0
    lags: tuple[Annotated[int, Ge(1)], ...] = ()


@dataclass(frozen=True)
class Surprise:
    """Settings: windows scored by mean and standard deviation, or by median and MAD."""

    mean: tuple[Duration, ...] = ()
    median: tuple[Duration, ...] = (timedelta(hours=1),)
    least: Annotated[int, Ge(2)] = 5
    floor: Annotated[float, Ge(0)] = 0.05
    statistics: tuple[Literal["z", "surprise"], ...] = ("surprise",)
    peers: tuple[Comparison, ...] = ()
    summary: Summary | None = None

    def __post_init__(self) -> None:
        if not self.windows:
            raise config_error("features.surprise.median", "[]", "name a window; write 1h.")
        if min(self.windows) <= timedelta(0):
            raise config_error("features.surprise", 0, "a window is longer; write 1h.")
        if self.summary and self.summary.window not in self.median:
            value = format_duration(self.summary.window)
            raise config_error("features.surprise.summary.window", value, "name one of median.")

    @property
    def windows(self) -> tuple[timedelta, ...]:
        return self.mean + self.median

    @property
    def lags(self) -> tuple[int, ...]:
        return self.summary.lags if self.summary else ()


@dataclass(frozen=True)
class Score:
    """The z-score of each row of a column against one window of its past."""

    column: str
    center: Literal["mean", "median"]
    width: timedelta
    z: Floats  # NaN where the past is too short

    def feature_name(self, statistic: str) -> str:
        return f"{self.column}_{statistic}_{self.center}_{format_duration(self.width)}"


def scores(rows: Rows, values: Mapping[str, Floats], settings: Surprise) -> list[Score]:
    """Return the scores of each column against each window."""
    return [
        *(score for width in settings.mean for score in _by_mean(rows, values, width, settings)),
        *(
            score
            for width in settings.median
            for score in _by_median(rows, values, width, settings)
        ),
    ]


def log_size(z: Floats) -> Floats:
    """Return log(1 + |z|)."""
    return np.asarray(np.round(np.log1p(np.abs(z)), _DIGITS), np.float64)


def sizes(scores: list[Score]) -> dict[str, Floats]:
    """Return the surprise of each column and window."""
    return {score.feature_name("surprise"): log_size(score.z) for score in scores}


def features(scores: list[Score], sizes: Mapping[str, Floats], settings: Surprise) -> Named:
    """Yield the wanted statistics of each column and window, as features."""
    if "z" in settings.statistics:
        yield from ((score.feature_name("z"), score.z) for score in scores)
    if "surprise" in settings.statistics:
        yield from sizes.items()


def summary_features(rows: Rows, scores: list[Score], settings: Surprise, max_age: int) -> Named:
    """Yield the row's statistics over all columns and their lags, as features."""
    summary = settings.summary
    if summary is None:
        return
    chosen = [s.z for s in scores if (s.center, s.width) == ("median", summary.window)]
    if not chosen:
        return
    for name, x in _over_columns(np.stack(chosen), summary).items():
        yield f"row_surprise_{name}", x
        for steps in summary.lags:
            row, is_recent = rows.lag(steps, max_age)
            yield f"row_surprise_{name}_lag_{steps}", np.where(is_recent, x[row], np.nan)


def _over_columns(z: Floats, settings: Summary) -> dict[str, Floats]:
    """Return the statistics over columns, of shape (columns, rows); missing values are left out."""
    size = np.minimum(np.abs(z), settings.clip)
    finite = np.isfinite(size)
    count = finite.sum(axis=0)
    surprise = np.where(finite, log_size(np.where(finite, size, 0.0)), 0.0)
    figures = {
        # Python's sum: NumPy's sum adds in another order for a single row than for many.
        "mean": sum(surprise) / np.maximum(count, 1),
        "max": surprise.max(axis=0),
        "share": (size > settings.above).sum(axis=0) / np.maximum(count, 1),
    }
    return {name: np.where(count > 0, figures[name], np.nan) for name in settings.statistics}


def _by_mean(
    rows: Rows, values: Mapping[str, Floats], width: timedelta, settings: Surprise
) -> Iterator[Score]:
    span = rolling.microseconds(width)
    for name, x in values.items():
        (z,) = moments.over(rows, x, span, ["z"], np.float64, settings.least, settings.floor)
        yield Score(name, "mean", width, z)


def _by_median(
    rows: Rows, values: Mapping[str, Floats], width: timedelta, settings: Surprise
) -> Iterator[Score]:
    low = rows.after(rolling.microseconds(width))
    for name, x in values.items():
        past = median_mad.compute(x, low, rows.first)
        z = _z(x, past.median, median_mad.NORMAL * past.deviation, settings.floor)
        enough = past.count >= settings.least
        yield Score(name, "median", width, np.where(enough, z, np.nan))


def _z(x: Floats, center: Floats, scale: Floats, floor: float) -> Floats:
    at_least = np.maximum(scale, floor)
    with np.errstate(over="ignore"):
        return np.divide(x - center, at_least, out=np.full_like(x, np.nan), where=at_least > 0)
