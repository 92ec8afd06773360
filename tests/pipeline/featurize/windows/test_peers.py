from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cll.pipeline.featurize.windows import peers
from cll.types.errors import ConfigError

ALL = ("rank", "ratio", "deviation", "mean")
START = datetime(2026, 1, 1, tzinfo=UTC)
NO_VALUE = float("nan")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def stand(
    signals: pl.DataFrame, columns: list[np.ndarray], max_age: float = 60, **settings: object
) -> peers.PeerValues:
    wanted = peers.Peers(max_age=seconds(max_age), **settings)
    (peer_values,) = peers.compare(signals, columns, wanted, ALL)
    return peer_values


def fleet(rows: list[tuple[str, float, float]]) -> tuple[pl.DataFrame, list[np.ndarray]]:
    """Rows of entity, seconds since START and a value."""
    table = pl.DataFrame(rows, schema=["entity", "time", "x"], orient="row", strict=False)
    table = table.sort("entity", "time", maintain_order=True)
    times = [START + timedelta(seconds=s) for s in table["time"]]
    signals = table.with_columns(pl.Series("time", times, dtype=pl.Datetime("us", "UTC")))
    return signals, [signals["x"].cast(pl.Float64).fill_null(float("nan")).to_numpy()]


def naive(signals: pl.DataFrame, x: np.ndarray, max_age: float) -> tuple[list[float], list[float]]:
    """Compare each row with the latest value of each other entity, one by one."""
    entity, time = signals["entity"].to_list(), signals["time"].to_list()
    ranks, ratios = [], []
    for i in range(len(x)):
        latest = {}
        for j in range(len(x)):
            if entity[j] != entity[i] and 0 <= (time[i] - time[j]).total_seconds() < max_age:
                latest[entity[j]] = x[j]  # rows are sorted, so the latest one stays
        others = np.array([v for v in latest.values() if not np.isnan(v)])
        if np.isnan(x[i]) or not len(others):
            ranks.append(np.nan)
            ratios.append(np.nan)
            continue
        ranks.append(((others < x[i]).sum() + (others == x[i]).sum() / 2) / len(others))
        ratios.append(x[i] / np.median(others) if np.median(others) else np.nan)
    return ranks, ratios


@pytest.mark.parametrize("seed", range(4))
def test_standing_equals_its_definition_for_entities_sampled_at_odd_seconds(seed):
    rng = np.random.default_rng(seed)
    rows = []
    for e in range(7):
        for _ in range(30):
            value = float(rng.integers(-3, 4)) if rng.random() > 0.15 else None
            rows.append((f"e{e}", int(rng.integers(0, 300)), value))
    signals, columns = fleet(rows)
    peer_values = stand(signals, columns)
    ranks, ratios = naive(signals, columns[0], 60)
    np.testing.assert_allclose(peer_values.rank, ranks)
    np.testing.assert_allclose(peer_values.ratio, ratios)


def test_a_peers_later_value_takes_no_part():
    signals, columns = fleet([("a", 10, 5), ("b", 5, 1), ("b", 11, 100), ("c", 9, 2)])
    peer_values = stand(signals, columns)
    assert peer_values.rank[0] == 1
    assert peer_values.ratio[0] == 5 / 1.5


def test_a_peer_counts_while_its_value_is_younger_than_the_limit():
    signals, columns = fleet([("a", 60, 5), ("b", 0, 1), ("c", 1, 2)])
    peer_values = stand(signals, columns)
    assert peer_values.others.tolist() == [1, 0, 1]


def test_on_a_grid_peers_are_those_of_the_last_full_minute():
    signals, columns = fleet([("a", 119, 5), ("b", 59, 1), ("b", 61, 9)])
    peer_values = stand(signals, columns, grid=seconds(60))
    assert peer_values.ratio[0] == 5
    assert peer_values.others.tolist() == [1, 0, 0]


def test_working_few_instants_at_a_time_changes_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    signals, columns = fleet([(f"e{i % 5}", i // 5 * 60, rng.normal()) for i in range(200)])
    whole = stand(signals, columns)
    monkeypatch.setattr(peers, "_CELLS", 10)
    part = stand(signals, columns)
    np.testing.assert_array_equal(whole.rank, part.rank)
    np.testing.assert_array_equal(whole.ratio, part.ratio)


def test_rows_without_a_group_are_a_group_of_their_own():
    signals, columns = fleet([("a", 0, 1), ("b", 0, 2), ("c", 0, 3)])
    grouped = signals.with_columns(group=pl.Series(["x", None, None], dtype=pl.String))
    peer_values = stand(grouped, columns, 1, within="group")
    assert peer_values.others.tolist() == [0, 1, 1]


def test_the_mean_is_of_all_latest_values_with_the_rows_own():
    signals, columns = fleet([("a", 0, 4), ("b", 0, 1), ("c", 0, 1), ("d", 0, None)])
    assert stand(signals, columns).mean.tolist() == [2] * 4


def test_the_mean_is_the_same_to_the_bit_whoever_else_was_there_before():
    rng = np.random.default_rng(2)
    now = [(f"e{i}", 1000, float(rng.normal())) for i in range(0, 20, 2)]
    gone = [(f"e{i}", 0, 1.0) for i in range(1, 20, 2)]
    alone = stand(*fleet(now)).mean
    signals, columns = fleet(now + gone)
    with_others = stand(signals, columns).mean[(signals["time"] > START).to_numpy()]
    np.testing.assert_array_equal(with_others, alone)


def test_a_delay_waits_for_peers_of_the_same_scrape_and_no_longer():
    signals, columns = fleet([("a", 10, 5), ("b", 11, 1), ("c", 14, 2), ("b", 9, 7)])
    peer_values = stand(signals, columns, delay=seconds(2))
    assert peer_values.others[0] == 1
    assert peer_values.ratio[0] == 5
    assert stand(signals, columns).ratio[0] == 5 / 7


def test_a_delay_does_not_reach_into_the_next_day():
    day = 86_400
    rows = [("a", day - 1, 5), ("b", day - 1, 1), ("b", day, 100), ("c", day, 3)]
    peer_values = stand(*fleet(rows), delay=seconds(5))
    assert (peer_values.others[0], peer_values.ratio[0]) == (1, 5)


def test_a_delay_as_long_as_a_value_counts_is_refused():
    with pytest.raises(ConfigError, match=r"features.peers.delay=1m: .* raise max_age"):
        peers.Peers(delay=seconds(60), max_age=seconds(60))


def test_statistics_become_features_only_with_enough_peers():
    signals, (x,) = fleet([("a", 0, 4), ("b", 0, 1), ("c", 0, 1), ("a", 500, 9)])
    settings = peers.Peers(least=2)
    features = dict(peers.features(signals, {"x": x}, settings, ALL))
    assert set(features) == {"x_rank", "x_peer_ratio", "x_peer_deviation", "x_peer_mean"}
    np.testing.assert_array_equal(features["x_peer_deviation"], [2, NO_VALUE, -1, -1])
    np.testing.assert_array_equal(features["x_rank"], [1, NO_VALUE, 0.25, 0.25])
