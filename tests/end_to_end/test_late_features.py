"""Records that became known too late: a row's features are what its scoring could see."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.features.windows import Windows
from cll.pipeline.featurize.compute import featurize
from cll.pipeline.featurize.windows.entity_history import PastOutcomes
from cll.pipeline.featurize.windows.peers import Peers
from cll.pipeline.featurize.windows.surprise import Summary, Surprise
from cll.types.tables import INCIDENTS, INSTANT, Columns

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NO_INCIDENTS = pl.DataFrame(schema=INCIDENTS)
COLUMNS = ("cpu", "memory")
EVERY = settings(max_examples=12, deadline=None)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


SURPRISE = Surprise(
    mean=(minutes(6),),
    median=(minutes(9),),
    statistics=("z", "surprise"),
    least=2,
    peers=("deviation", "rank", "mean"),
    summary=Summary(window=minutes(9), lags=(1, 2)),
)
ALL = ("rank", "ratio", "deviation", "mean")
WIDE = {"windows": (minutes(5), minutes(12)), "max_age": minutes(6)}
SETS = {
    "of its own": Windows(**WIDE, lags=(1, 2), peers=None),
    "lags alone": Windows(windows=(), lags=(1, 2), max_age=minutes(6), peers=None),
    "as of the row before": Windows(**WIDE, past_only=("cpu",), delay=minutes(2), peers=None),
    "among peers": Windows(**WIDE, peers=Peers(ALL, max_age=minutes(7), least=1)),
    "among peers who report later": Windows(
        **WIDE,
        past_only=("memory",),
        delay=minutes(1),
        peers=Peers(ALL, delay=minutes(2), max_age=minutes(7), least=1),
    ),
    "in a group at full minutes": Windows(
        **WIDE, peers=Peers(ALL, within="group", grid=minutes(4), max_age=minutes(5), least=1)
    ),
    "surprise": Windows(
        **WIDE,
        transform="log1p",
        past_only=("cpu",),
        surprise=SURPRISE,
        peers=Peers(delay=minutes(1), max_age=minutes(4), least=1),
    ),
    "past outcomes": Windows(
        windows=(),
        peers=None,
        past_outcomes=PastOutcomes(
            lags=(1, 2), windows=(minutes(5),), max_delay=minutes(4), reach=minutes(8)
        ),
    ),
}
each_set = pytest.mark.parametrize("feature_set", SETS.values(), ids=SETS)

RECORD = st.tuples(
    st.sampled_from(["a", "a", "a", "b", "c"]),
    st.integers(0, 30),  # minutes since START
    st.sampled_from([0, 0, 0, 1, 2, 3, 5, 8, 20, 300]),  # minutes until known
    st.sampled_from([None, 1.0, 2.5, 3.0, -7.0, 40.0]),
    st.sampled_from([None, 0.1, 0.2, 0.7, 9.0]),
    st.sampled_from([0.0, 1.0]),
    st.integers(0, 3),  # minutes until the outcome is known
)


def frame(records: list[tuple]) -> pl.DataFrame:
    schema = ["entity", "time", "late", "cpu", "memory", "outcome", "told"]
    table = pl.DataFrame(records, schema=schema, orient="row", strict=False)
    at = pl.lit(START) + pl.duration(minutes="time")
    return (
        table.sort("entity", "time", maintain_order=True)
        .with_columns(
            at.cast(INSTANT).alias("time"),
            (at + pl.duration(minutes="late")).cast(INSTANT).alias("known_at"),
            (at + pl.duration(minutes="told")).cast(INSTANT).alias("outcome_known_at"),
            pl.col("cpu", "memory", "outcome").cast(pl.Float64),
            group=pl.when(pl.col("entity") == "c").then(pl.lit("x")).otherwise(pl.lit("y")),
        )
        .drop("late", "told")
    )


def scored(feature_set: Windows) -> pl.Expr:
    return pl.max_horizontal(pl.col("time") + feature_set.wait, "known_at")


def bytes_of(features: pl.DataFrame) -> bytes:
    return features.drop("entity", "time").to_numpy().tobytes()


def check_each_row(feature_set: Windows, signals: pl.DataFrame) -> None:
    """Hold each row against a frame of nothing but what its scoring could see, all on time."""
    signals = signals.with_row_index("row")
    found = feature_set(signals.drop("row"), COLUMNS, NO_INCIDENTS)
    for row, at in enumerate(signals.select(at=scored(feature_set))["at"]):
        seen = signals.filter((pl.col("known_at") <= at) | (pl.col("row") == row))
        on_time = seen.with_columns(known_at="time").drop("row")
        alone = feature_set(on_time, COLUMNS, NO_INCIDENTS)
        place = seen["row"].to_list().index(row)
        assert bytes_of(alone[place]) == bytes_of(found[row])


@each_set
@EVERY
@given(st.lists(RECORD, min_size=1, max_size=16))
def test_a_row_is_as_if_nothing_else_were_there_than_what_its_scoring_could_see(
    feature_set, records
):
    check_each_row(feature_set, frame(records))


@each_set
def test_that_holds_where_many_records_are_late(feature_set):
    check_each_row(feature_set, history(rows=20, late=0.4))


@each_set
@EVERY
@given(st.lists(RECORD, min_size=1, max_size=16), RECORD)
def test_a_record_changes_no_row_that_was_scored_before_it_was_known(feature_set, records, new):
    before, after = frame(records), frame([*records, new])
    known = START + minutes(new[1] + new[2])
    settled = scored(feature_set) < known
    some = feature_set(before, COLUMNS, NO_INCIDENTS).filter(before.select(settled).to_series())
    # With as many ties, the new record is the last of them.
    keep = after.select(settled).to_series()
    again = feature_set(after, COLUMNS, NO_INCIDENTS).filter(keep)
    assert again.height == some.height
    assert bytes_of(again) == bytes_of(some)


def history(seed: int = 0, rows: int = 120, late: float = 0.2) -> pl.DataFrame:
    """Three days of bursts and gaps, where some became known after minutes, hours or days."""
    rng = np.random.default_rng(seed)
    records = []
    for entity in "aabc":
        time = np.cumsum(rng.choice([0, 1, 1, 2, 3, 5, 150], rows))
        lateness = rng.choice([1, 4, 30, 700, 4000], rows) * (rng.random(rows) < late)
        cpu = [None if rng.random() < 0.2 else rng.normal(50, 3) for _ in range(rows)]
        each = zip(
            [entity] * rows,
            time.tolist(),
            lateness.tolist(),
            cpu,
            rng.normal(size=rows).tolist(),
            rng.integers(0, 2, rows).astype(float).tolist(),
            rng.integers(0, 4, rows).tolist(),
            strict=True,
        )
        records += list(each)
    return frame(records)


@each_set
def test_late_records_too_are_the_same_bytes_however_the_days_are_cut(feature_set):
    signals = history()
    assert (signals["known_at"] > signals["time"]).mean() > 0.1
    whole = feature_set(signals, COLUMNS, NO_INCIDENTS)
    columns = Columns(COLUMNS, outcome=True, group=True)
    for day in signals["time"].dt.truncate("1d").unique().sort():
        upto = signals.filter(pl.col("time") < day + DAY)
        part = featurize(upto, feature_set, columns, NO_INCIDENTS, day)
        span = pl.col("time").is_between(day, day + DAY, closed="left")
        assert bytes_of(part) == bytes_of(whole.filter(span))


@each_set
@pytest.mark.parametrize("part", [1, 40])
def test_working_few_copies_at_a_time_changes_no_byte(feature_set, part, monkeypatch):
    whole = feature_set(history(rows=60), COLUMNS, NO_INCIDENTS)
    monkeypatch.setattr("cll.pipeline.featurize.windows.known_rows._PART", part)
    monkeypatch.setattr("cll.pipeline.featurize.windows.peers._CELLS", 5 * part)
    assert bytes_of(feature_set(history(rows=60), COLUMNS, NO_INCIDENTS)) == bytes_of(whole)


def test_a_late_record_counts_from_the_instant_at_which_it_was_known():
    records = [("a", 0, 0, 1.0), ("a", 5, 6, 100.0), ("a", 10, 0, 3.0), ("a", 15, 0, 5.0)]
    signals = frame([(*record, None, 0.0, 0) for record in records])
    bare = {"lags": (1,), "past": (), "rolling": ("max",), "peers": None}
    features = Windows(windows=(minutes(30),), **bare)(signals, ("cpu",), NO_INCIDENTS)
    assert features["cpu_max_30m"].to_list() == [1, 100, 3, 100]
    assert features["cpu_lag_1"].to_list()[1:] == [1, 1, 3]
    assert features["cpu_change"].to_list()[1:] == [99, 2, 2]
    waits = Windows(windows=(minutes(30),), **bare, delay=minutes(1))
    features = waits(signals, ("cpu",), NO_INCIDENTS)
    assert features["cpu_max_30m"].to_list() == [1, 100, 100, 100]


def test_a_peers_value_is_the_latest_that_was_known():
    records = [("b", 8, 0, 1.0), ("b", 9, 3, 100.0), ("a", 10, 0, 3.0), ("a", 11, 1, 3.0)]
    signals = frame([(*record, None, 0.0, 0) for record in records])
    feature_set = Windows(windows=(), peers=Peers(least=1))
    ratio = feature_set(signals, ("cpu",), NO_INCIDENTS)["cpu_peer_ratio"].to_list()
    assert ratio[:2] == pytest.approx([3, 0.03])


def test_a_row_that_was_late_itself_sees_what_was_known_by_then():
    records = [("a", 0, 60, 7.0), ("a", 5, 60, 9.0), ("a", 6, 0, 1.0)]
    signals = frame([(*record, None, 0.0, 0) for record in records])
    feature_set = Windows(windows=(), lags=(1,), peers=None)
    lag = feature_set(signals, ("cpu",), NO_INCIDENTS)["cpu_lag_1"]
    np.testing.assert_array_equal(lag, [np.nan, 7, np.nan])


def test_an_outcome_whose_record_is_hidden_is_not_told():
    signals = frame([("a", 0, 60, 1.0, None, 1.0, 1), ("a", 5, 0, 1.0, None, 0.0, 1)])
    past = PastOutcomes(lags=(1,), windows=(minutes(30),))
    features = Windows(windows=(), peers=None, past_outcomes=past)(signals, ("cpu",), NO_INCIDENTS)
    assert features["outcome_lag_1"].is_nan().all()
    assert features["outcome_mean_30m"].is_nan().all()


def test_incidents_are_read_only_where_a_feature_asks_for_them():
    assert not Windows().reads_incidents
    assert Windows(since_incident=True).reads_incidents
