from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cll.components.features.kpi import Kpi
from cll.components.features.windows import PastOutcomes, Windows
from cll.pipeline.featurize.compute import featurize
from cll.types.errors import ConfigError, DataRefused
from cll.types.tables import INCIDENTS, INSTANT, Columns

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NO_INCIDENTS = pl.DataFrame(schema=INCIDENTS)
COLUMNS = Columns(("cpu",), outcome=True, truth=("truth_outcome",), refused=("failed",))


def signals(days: int = 3, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frames = []
    for entity in ("a", "b", "c"):
        minutes = np.unique(rng.integers(0, days * 1440, days * 200))
        times = pl.Series("time", [START + timedelta(minutes=int(m)) for m in minutes])
        frames.append(
            pl.DataFrame({"entity": [entity] * len(minutes), "time": times.cast(INSTANT)})
        )
    frame = pl.concat(frames)
    return frame.with_columns(
        known_at="time",
        cpu=pl.Series(rng.normal(1e6, 1, frame.height)),
        outcome=pl.Series(rng.integers(0, 2, frame.height).astype(float)),
        outcome_known_at=pl.col("time") + timedelta(minutes=7),
        truth_outcome=pl.lit(0.5),
        failed=pl.lit(1.0),
    )


def data(features: pl.DataFrame) -> bytes:
    return features.drop("entity", "time").to_numpy().tobytes()


class Shuffled:
    """A feature set that loses the order of its rows."""

    lookback = timedelta(0)

    def __call__(self, signals, columns, incidents):
        del columns, incidents
        return signals.select("entity", "time", x=pl.lit(1, pl.Float32)).reverse()


class Wide:
    lookback = timedelta(0)

    def __call__(self, signals, columns, incidents):
        del columns, incidents
        return signals.select("entity", "time", x=pl.lit(1.0))


@pytest.mark.parametrize("name", ["failed", "outcome", "outcome_known_at", "truth_outcome"])
@pytest.mark.parametrize("kind", [Kpi, Windows])
def test_a_label_column_is_refused_as_feature(kind, name):
    with pytest.raises(ConfigError, match=rf"^features.columns='{name}': is a label"):
        featurize(signals(), kind(columns=("cpu", name)), COLUMNS, NO_INCIDENTS, START)


def test_an_unknown_column_is_refused():
    with pytest.raises(ConfigError, match=r"features.columns=disk: no such column; there are: cpu"):
        featurize(signals(), Kpi(("disk",)), COLUMNS, NO_INCIDENTS, START)


def test_a_feature_set_that_reorders_rows_is_refused():
    with pytest.raises(
        DataRefused, match=r"features: the feature set returned 1681 rows for 1681 "
    ):
        featurize(signals(), Shuffled(), COLUMNS, NO_INCIDENTS, START)


def test_a_feature_of_another_type_is_refused():
    with pytest.raises(DataRefused, match=r"features.x: found Float64; cast it to Float32"):
        featurize(signals(), Wide(), COLUMNS, NO_INCIDENTS, START)


def test_a_label_among_the_numeric_columns_never_becomes_a_feature():
    columns = Columns(("cpu", "failed"), refused=("failed",))
    features = featurize(signals(), Kpi(), columns, NO_INCIDENTS, START)
    assert features.columns == ["entity", "time", "cpu"]


def test_only_rows_from_since_on_come_back_sorted_by_entity_and_time():
    since = START + DAY
    features = featurize(
        signals().sample(fraction=1, shuffle=True, seed=1), Kpi(), COLUMNS, NO_INCIDENTS, since
    )
    expected = signals().filter(pl.col("time") >= since).select("entity", "time")
    assert features.select("entity", "time").equals(expected)


@pytest.mark.parametrize("more", [timedelta(0), timedelta(minutes=1), DAY / 2, 5 * DAY])
def test_more_history_than_the_lookback_changes_no_byte(more):
    past = PastOutcomes(
        lags=(1, 5),
        windows=(timedelta(hours=3),),
        max_delay=timedelta(hours=1),
        reach=timedelta(hours=4),
    )
    feature_set = Windows(past_outcomes=past)
    since = START + 2 * DAY
    enough = signals().filter(pl.col("time") >= since - feature_set.lookback)
    given = signals().filter(pl.col("time") >= since - feature_set.lookback - more)
    expected = featurize(enough, feature_set, COLUMNS, NO_INCIDENTS, since)
    found = featurize(given, feature_set, COLUMNS, NO_INCIDENTS, since)
    assert data(found) == data(expected)


def test_partitions_put_together_are_the_whole_to_the_last_byte():
    feature_set = Windows()
    whole = featurize(signals(), feature_set, COLUMNS, NO_INCIDENTS, START)
    parts = []
    for day in range(3):
        since = START + day * DAY
        until = signals().filter(pl.col("time") < since + DAY)
        parts.append(featurize(until, feature_set, COLUMNS, NO_INCIDENTS, since))
    assert data(pl.concat(parts).sort("entity", "time")) == data(whole)
