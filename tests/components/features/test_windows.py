from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cll.components.features.windows import Windows
from cll.pipeline.featurize.windows.entity_history import PastOutcomes
from cll.pipeline.featurize.windows.peers import Peers
from cll.pipeline.featurize.windows.surprise import Summary, Surprise
from cll.types.errors import ConfigError
from cll.types.tables import INCIDENTS, INSTANT

START = datetime(2026, 1, 1, tzinfo=UTC)
NO_INCIDENTS = pl.DataFrame(schema=INCIDENTS)
WIDTHS = {"15m": 900, "1h": 3600, "6h": 21600}


def frame(rows: list[tuple], columns: tuple[str, ...] = ("cpu",)) -> pl.DataFrame:
    """Rows of entity, minutes since START and values."""
    schema = {"entity": pl.String, "time": pl.Float64} | dict.fromkeys(columns, pl.Float64)
    table = pl.DataFrame(rows, schema=schema, orient="row").sort(
        "entity", "time", maintain_order=True
    )
    times = [START + timedelta(minutes=m) for m in table["time"]]
    return table.with_columns(
        pl.Series("time", times, dtype=INSTANT), pl.Series("known_at", times, dtype=INSTANT)
    )


def irregular(seed: int = 0, rows: int = 160) -> pl.DataFrame:
    """Bursts, long gaps, ties, missing values, level shifts and a constant stretch."""
    rng = np.random.default_rng(seed)
    table = []
    for entity in ("a", "b", "c", "d"):
        gaps = rng.choice([0, 1 / 60, 1, 5, 5, 5, 7, 40, 700], rows)
        for i, minute in enumerate(np.cumsum(gaps)):
            cpu = rng.normal(50, 3) + (1e9 if i > rows // 2 else 0)
            memory = 0.1 if 60 < i < 120 else rng.normal()
            table.append((entity, minute, cpu, None if rng.random() < 0.2 else memory))
    return frame(table, ("cpu", "memory"))


def plain(
    windows: tuple[str, ...] = ("30m",), columns: tuple[str, ...] | None = None, **settings: object
) -> Windows:
    """Only what is asked for."""
    nothing = {"rolling": (), "past": (), "lags": (), "change": False, "missing": False}
    spans = tuple(timedelta(minutes=int(w[:-1]) * (60 if w[-1] == "h" else 1)) for w in windows)
    return Windows(columns, windows=spans, **(nothing | {"peers": None} | settings))


def naive(signals: pl.DataFrame, name: str, seconds: int) -> dict[str, np.ndarray]:
    """Each window by itself, from the definition."""
    entity, time = signals["entity"].to_numpy(), signals["time"].dt.epoch("us").to_numpy()
    x = signals[name].fill_null(float("nan")).to_numpy()
    found = {k: np.full(len(x), np.nan) for k in ("mean", "std", "min", "max", "slope")}
    found |= {k: np.full(len(x), np.nan) for k in ("z", "ratio", "change", "missing")}
    for i in range(len(x)):
        window = (entity == entity[i]) & (time > time[i] - seconds * 1_000_000) & (time <= time[i])
        v, h = x[window], (time[window] - time[i]) / 3.6e9
        there = ~np.isnan(v)
        found["missing"][i] = 1 - there.mean()
        v, h = v[there], h[there]
        if len(v):
            found["mean"][i], found["min"][i], found["max"][i] = v.mean(), v.min(), v.max()
        if len(v) > 1:
            found["std"][i] = (v - v[0]).std(ddof=1)
        if len(set(h)) > 1:
            hc, vc = h - h.mean(), v - v[0]
            found["slope"][i] = (hc * (vc - vc.mean())).sum() / (hc**2).sum()
        past = x[window & (time < time[i])]
        past = past[~np.isnan(past)]
        if len(past):
            change, spread = x[i] - past[0] - (past - past[0]).mean(), (past - past[0]).std(ddof=0)
            found["change"][i], found["ratio"][i] = change, x[i] / past.mean()
            if len(past) > 2 and spread > 0:
                found["z"][i] = change / spread * np.sqrt((len(past) - 1) / len(past))
    return found


def close(found: pl.Series, expected: np.ndarray, scale: float = 1e-6) -> None:
    np.testing.assert_allclose(
        found.to_numpy().astype(float), expected, rtol=2e-6, atol=scale, err_msg=found.name
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("end", list(WIDTHS))
def test_every_window_statistic_equals_its_definition_on_irregular_data(seed, end):
    signals = irregular(seed)
    feature_set = plain(
        (end,),
        rolling=("mean", "std", "min", "max", "slope"),
        past=("z", "ratio", "change"),
        missing=True,
    )
    features = feature_set(signals, ("cpu", "memory"), NO_INCIDENTS)
    for name in ("cpu", "memory"):
        for statistic, expected in naive(signals, name, WIDTHS[end]).items():
            # cpu lies at 1e9, where float64 itself holds 1e-7, and a slope an hour multiplies it.
            close(features[f"{name}_{statistic}_{end}"], expected, 1e-5 if name == "cpu" else 1e-6)


def test_a_level_shift_before_the_window_costs_no_digit():
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 1e-3, 100)
    shifted = [("a", 5.0 * i, float(1e12 if i < 20 else 1 + noise[i])) for i in range(100)]
    features = plain(rolling=("std",))(frame(shifted), ("cpu",), NO_INCIDENTS)
    expected = [noise[i - 5 : i + 1].std(ddof=1) for i in range(30, 100)]
    np.testing.assert_allclose(features["cpu_std_30m"][30:], expected, rtol=1e-6)


def test_a_window_is_open_at_its_old_end_and_closed_at_the_row():
    signals = frame([("a", 0, 1), ("a", 30, 10), ("a", 60, 100)])
    features = plain(rolling=("mean",))(signals, ("cpu",), NO_INCIDENTS)
    assert features["cpu_mean_30m"].to_list() == [1, 10, 100]


def test_ties_in_time_see_each_other_in_the_window_and_not_in_the_past():
    signals = frame([("a", 0, 2), ("a", 5, 4), ("a", 5, 6)])
    features = plain(rolling=("mean",), past=("change",), lags=(1,), change=True)(
        signals, ("cpu",), NO_INCIDENTS
    )
    assert features["cpu_mean_30m"].to_list() == [2, 4, 4]
    assert features["cpu_change_30m"].to_list()[1:] == [2, 4]
    assert features["cpu_lag_1"].to_list()[1:] == [2, 2]


def test_a_lag_older_than_max_age_or_of_another_entity_is_missing():
    signals = frame([("a", 0, 1), ("a", 30, 2), ("a", 61, 3), ("b", 62, 4)])
    features = plain(lags=(1, 2), change=True)(signals, ("cpu",), NO_INCIDENTS)
    np.testing.assert_array_equal(features["cpu_lag_1"], [np.nan, 1, np.nan, np.nan])
    np.testing.assert_array_equal(features["cpu_lag_2"], [np.nan] * 4)
    np.testing.assert_array_equal(features["cpu_change"], [np.nan, 1, np.nan, np.nan])


def test_a_constant_past_gives_no_z_score():
    signals = frame([("a", 5 * i, 0.1) for i in range(4)] + [("a", 20, 7)])
    features = plain(past=("z",))(signals, ("cpu",), NO_INCIDENTS)
    assert features["cpu_z_30m"].is_nan().all()


def test_infinities_and_values_beyond_float32_are_missing():
    signals = frame([("a", 0, float("inf")), ("a", 5, 1e300), ("a", 10, 1)])
    features = plain(missing=True, rolling=("max",))(signals, ("cpu",), NO_INCIDENTS)
    assert features["cpu_missing"].to_list() == [1, 1, 0]
    assert features["cpu"].is_nan().to_list() == [True, True, False]


def test_all_columns_are_float32_and_the_same_ones_whatever_the_rows():
    signals = irregular(rows=40)
    features = Windows()(signals, ("cpu", "memory"), NO_INCIDENTS)
    empty = Windows()(signals.clear(), ("cpu", "memory"), NO_INCIDENTS)
    assert set(features.schema.dtypes()[2:]) == {pl.Float32}
    assert empty.schema == features.schema
    assert features.select("entity", "time").equals(signals.select("entity", "time"))
    names = {"cpu_mean_30m", "cpu_z_3h", "cpu_rank", "cpu_peer_ratio", "cpu_lag_3", "cpu_change"}
    assert names <= set(features.columns)


def test_rows_before_the_lookback_and_after_the_row_change_no_byte():
    signals = irregular(rows=150)
    feature_set = Windows(windows=(timedelta(minutes=15), timedelta(hours=1)))
    whole = feature_set(signals, ("cpu", "memory"), NO_INCIDENTS)
    middle = signals["time"].sort()[300]
    cut = signals.filter(
        pl.col("time").is_between(middle - feature_set.lookback, middle + timedelta(hours=2))
    )
    part = feature_set(cut, ("cpu", "memory"), NO_INCIDENTS)
    span = pl.col("time").is_between(middle, middle + timedelta(hours=2))
    assert part.filter(span).equals(whole.filter(span), null_equal=True)


def test_working_in_parts_changes_no_byte(monkeypatch):
    signals = irregular(rows=60)
    whole = Windows()(signals, ("cpu", "memory"), NO_INCIDENTS)
    monkeypatch.setattr("cll.pipeline.featurize.windows.moments._PART", 100)
    assert Windows()(signals, ("cpu", "memory"), NO_INCIDENTS).equals(whole, null_equal=True)


def test_peers_of_a_group_need_a_group():
    with pytest.raises(ConfigError, match=r"features.peers.within=group: the source has no groups"):
        plain(peers=Peers(within="group"))(irregular(rows=5), ("cpu",), NO_INCIDENTS)


def test_peers_of_the_same_group_are_compared_among_themselves():
    signals = frame([("a", 0, 1), ("b", 0, 2), ("c", 0, 30), ("d", 0, 60)]).with_columns(
        group=pl.Series(["x", "x", "y", "y"])
    )
    features = plain(peers=Peers(within="group", least=1))(signals, ("cpu",), NO_INCIDENTS)
    assert features["cpu_rank"].to_list() == [0, 1, 0, 1]
    assert features["cpu_peer_ratio"].to_list() == [0.5, 2, 0.5, 2]


def test_too_few_peers_give_no_rank():
    signals = frame([("a", 0, 1), ("b", 0, 2)])
    features = plain(peers=Peers(least=2))(signals, ("cpu",), NO_INCIDENTS)
    assert features["cpu_rank"].is_nan().all()


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"features.columns=disk: no such column; there are: cpu"):
        plain(columns=("disk",))(irregular(rows=5), ("cpu",), NO_INCIDENTS)


def test_two_features_of_one_name_are_refused():
    signals = frame([("a", 0, 1, 2)], ("cpu", "cpu_missing"))
    with pytest.raises(ConfigError, match=r"features=cpu_missing: two features have this name"):
        plain(missing=True)(signals, ("cpu", "cpu_missing"), NO_INCIDENTS)


def test_a_window_without_length_is_refused():
    with pytest.raises(ConfigError, match=r"features.windows=0: a window is longer"):
        Windows(windows=(timedelta(0),))


def test_a_delay_beyond_the_longest_is_refused():
    with pytest.raises(ConfigError, match=r"past_outcomes.delay=2d: longer than max_delay"):
        Windows(past_outcomes=PastOutcomes(delay=timedelta(days=2)))


def test_past_outcomes_without_outcomes_are_refused():
    feature_set = plain(past_outcomes=PastOutcomes(lags=(1,)))
    with pytest.raises(ConfigError, match=r"features.past_outcomes=set: the source has no outcome"):
        feature_set(irregular(rows=5), ("cpu",), NO_INCIDENTS)


def test_lookback_is_the_longest_reach_of_what_is_on():
    hours = timedelta(hours=1)
    assert plain(("1h", "6h")).lookback == 6 * hours
    assert plain((), lags=(1,), max_age=3 * hours).lookback == 3 * hours
    assert plain((), peers=Peers(grid=hours, max_age=hours)).lookback == 2 * hours
    past = PastOutcomes(windows=(2 * hours,), max_delay=hours)
    assert plain((), past_outcomes=past).lookback == 3 * hours
    assert plain(()).lookback == timedelta(0)


def test_past_outcomes_and_incidents_come_on_request_only():
    signals = frame([("a", 5 * i, i) for i in range(4)]).with_columns(
        outcome=pl.Series([1.0, 0.0, 1.0, 0.0])
    )
    incidents = pl.DataFrame(
        [("a", START, None, START + timedelta(minutes=10), "leak")],
        schema=INCIDENTS,
        orient="row",
    )
    assert not [n for n in Windows()(signals, ("cpu",), incidents).columns if "outcome" in n]
    past = PastOutcomes(lags=(1, 2), windows=(timedelta(hours=1),))
    features = plain(past_outcomes=past, since_incident=True)(signals, ("cpu",), incidents)
    np.testing.assert_array_equal(features["outcome_lag_1"], [np.nan, 1, 0, 1])
    np.testing.assert_array_equal(features["outcome_lag_2"], [np.nan, np.nan, 1, 0])
    np.testing.assert_allclose(features["outcome_mean_1h"], [np.nan, 1, 0.5, 2 / 3])
    np.testing.assert_allclose(
        features["hours_since_incident"], [np.nan, np.nan, 1 / 6, 0.25], rtol=1e-6
    )


SURPRISE = Surprise(
    mean=(timedelta(minutes=15),),
    statistics=("z", "surprise"),
    least=2,
    peers=("deviation", "rank", "mean"),
    summary=Summary(lags=(1, 2)),
)


def test_a_column_known_only_afterwards_is_seen_as_of_the_row_before_by_every_feature():
    told = [("a", 5.0 * i, 3 * i % 7, i) for i in range(8)]
    told += [("b", 5.0 * i, 2 * i % 5, i) for i in range(8)]
    settings = {"lags": (1,), "change": True, "missing": True, "past_only": ("cpu",)}
    settings |= {"rolling": ("mean",), "past": ("z",), "peers": Peers(least=1)}
    settings |= {"surprise": SURPRISE}
    signals = frame(told, ("cpu", "hour"))
    whole = plain(**settings)(signals, ("cpu", "hour"), NO_INCIDENTS)
    cut = [(*row[:2], None if row[1] == 35 else row[2], row[3]) for row in told]
    blind = plain(**settings)(frame(cut, ("cpu", "hour")), ("cpu", "hour"), NO_INCIDENTS)
    assert blind.equals(whole, null_equal=True)
    assert not [name for name in whole.columns if name.startswith("cpu") and "before" not in name]
    np.testing.assert_array_equal(whole["cpu_before"][:3], [np.nan, 0, 3])
    assert whole["cpu_before_lag_1"][2] == 0
    assert whole["hour"][3] == 3


def test_a_row_before_that_is_older_than_max_age_shows_nothing():
    feature_set = plain((), past_only=("cpu",))
    features = feature_set(frame([("a", 0, 1), ("a", 31, 2)]), ("cpu",), NO_INCIDENTS)
    assert features["cpu_before"].is_nan().all()


def test_a_past_only_column_that_is_not_chosen_or_hides_another_is_refused():
    signals = frame([("a", 0, 1, 2)], ("cpu", "cpu_before"))
    with pytest.raises(ConfigError, match=r"features.past_only=disk: no such column; there are"):
        plain(past_only=("disk",))(signals, ("cpu",), NO_INCIDENTS)
    with pytest.raises(ConfigError, match=r"features=cpu_before: two features have this name"):
        plain(past_only=("cpu",))(signals, ("cpu", "cpu_before"), NO_INCIDENTS)


def test_a_transform_comes_before_everything():
    signals = frame([("a", 0, -1), ("a", 5, 3)])
    feature_set = plain(rolling=("max",), transform="log1p")
    features = feature_set(signals, ("cpu",), NO_INCIDENTS)
    np.testing.assert_allclose(features["cpu"], [-np.log(2), np.log(4)], rtol=1e-6)
    np.testing.assert_allclose(features["cpu_max_30m"], [-np.log(2), np.log(4)], rtol=1e-6)


def test_the_value_itself_can_be_left_out():
    features = plain(value=False, lags=(1,))(irregular(rows=5), ("cpu",), NO_INCIDENTS)
    assert features.columns == ["entity", "time", "cpu_lag_1"]


def test_surprise_is_compared_with_the_peers_surprise():
    rows = [(e, i, 1.0 + i % 2 * 0.1) for e in "abc" for i in range(10)]
    rows += [("a", 10, 9.0), ("b", 10, 1.0), ("c", 10, 1.0)]
    feature_set = plain((), surprise=SURPRISE, peers=Peers(statistics=(), least=1))
    features = feature_set(frame(rows), ("cpu",), NO_INCIDENTS)
    last = features.filter(pl.col("time") == pl.col("time").max())
    name = "cpu_surprise_median_1h"
    assert last[f"{name}_rank"].to_list() == [1, 0.25, 0.25]
    close(last[f"{name}_peer_mean"], np.full(3, last[name].cast(pl.Float64).mean()))
    close(last[f"{name}_peer_deviation"], (last[name] - last[f"{name}_peer_mean"]).to_numpy())
    np.testing.assert_allclose(last[name], np.log1p(last["cpu_z_median_1h"].abs()), rtol=1e-6)
    assert last["row_surprise_share"].to_list() == [1, 0, 0]
    assert "cpu_rank" not in features.columns


def test_surprise_among_peers_needs_peers():
    with pytest.raises(ConfigError, match=r"surprise.peers=deviation, rank, mean: .*peers is null"):
        plain(surprise=SURPRISE, peers=None)


def test_neither_history_before_the_lookback_nor_the_next_day_changes_a_byte_of_any_family():
    signals = irregular(rows=200)
    feature_set = Windows(
        windows=(timedelta(minutes=15),),
        past_only=("memory",),
        surprise=SURPRISE,
        peers=Peers(delay=timedelta(minutes=2)),
    )
    whole = feature_set(signals, ("cpu", "memory"), NO_INCIDENTS)
    for day in signals["time"].dt.truncate("1d").unique().sort()[2:5]:
        span = pl.col("time").is_between(day, day + timedelta(days=1), closed="left")
        cut = signals.filter(
            pl.col("time").is_between(
                day - feature_set.lookback, day + timedelta(days=1), closed="left"
            )
        )
        part = feature_set(cut, ("cpu", "memory"), NO_INCIDENTS)
        assert part.filter(span).equals(whole.filter(span), null_equal=True)
        assert part.filter(span).height


def test_lookback_adds_what_a_surprise_is_lagged_shifted_and_compared_by():
    hours = timedelta(hours=1)
    peers = Peers(statistics=(), max_age=2 * hours)
    alone = Surprise(median=(6 * hours,), summary=None)
    assert plain((), surprise=alone).lookback == 6 * hours
    lagged = Surprise(median=(6 * hours,), summary=Summary(window=6 * hours, lags=(1,)))
    assert plain((), surprise=lagged, max_age=hours).lookback == 7 * hours
    compared = Surprise(median=(6 * hours,), peers=("rank",))
    assert plain((), surprise=compared, peers=peers).lookback == 8 * hours
    assert plain((), surprise=alone, past_only=("cpu",), max_age=hours).lookback == 7 * hours
