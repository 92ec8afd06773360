"""A partition in two passes: entity by entity, and all entities over a stretch of time."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.features.windows import Windows
from cll.pipeline.featurize.windows.peers import Peers
from cll.pipeline.featurize.windows.surprise import Summary, Surprise
from cll.types.errors import ConfigError
from tests.end_to_end.test_late_features import COLUMNS, NO_INCIDENTS, SETS, bytes_of, history


@pytest.mark.parametrize("feature_set", SETS.values(), ids=SETS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 99), bucket=st.sets(st.sampled_from("abc")), share=st.floats(0, 1))
def test_halves_side_by_side_are_the_whole_to_the_last_byte(feature_set, seed, bucket, share):
    signals = history(seed, rows=40)
    whole = feature_set(signals, COLUMNS, NO_INCIDENTS)
    own, fleet = feature_set.halves()
    here = pl.col("entity").is_in(sorted(bucket))
    parts = [own(signals.filter(which), COLUMNS, NO_INCIDENTS) for which in (here, ~here)]
    table = pl.concat(parts).sort("entity", maintain_order=True)
    if fleet:
        cut = signals["time"].sort()[int(share * (signals.height - 1))].replace(hour=0, minute=0)
        early = fleet(signals.filter(pl.col("time") < cut), COLUMNS, NO_INCIDENTS)
        reached = signals.filter(pl.col("time") >= cut - fleet.lookback)
        later = fleet(reached, COLUMNS, NO_INCIDENTS).filter(pl.col("time") >= cut)
        both = pl.concat([early, later]).sort("entity", "time", maintain_order=True)
        assert both.select("entity", "time").equals(table.select("entity", "time"))
        table = pl.concat([table, both.drop("entity", "time")], how="horizontal")
    assert sorted(table.columns) == sorted(whole.columns)
    assert bytes_of(table.select(whole.columns)) == bytes_of(whole)


@pytest.mark.parametrize("feature_set", SETS.values(), ids=SETS)
def test_no_half_reaches_further_back_than_the_whole(feature_set):
    for half in feature_set.halves():
        assert half is None or half.lookback <= feature_set.lookback


def test_the_whole_names_all_features_in_their_order_and_refuses_what_halves_name_twice():
    none = history(rows=1).clear().with_columns(cpu_rank=pl.lit(None, pl.Float64))
    own, fleet = Windows().halves()
    assert fleet is not None
    names = [each(none, ("cpu",), NO_INCIDENTS).columns[2:] for each in (own, fleet)]
    assert sorted([*names[0], *names[1]]) == sorted(
        Windows()(none, ("cpu",), NO_INCIDENTS).columns[2:]
    )
    with pytest.raises(ConfigError, match=r"features=cpu_rank: two features have this name"):
        Windows()(none, ("cpu", "cpu_rank"), NO_INCIDENTS)


def test_without_peers_there_is_no_second_half():
    assert Windows(peers=None).halves()[1] is None
    assert Windows(peers=Peers(statistics=())).halves()[1] is None


def test_a_surprise_that_is_only_compared_is_worked_only_where_it_is():
    compared = Surprise(statistics=(), peers=("rank",))
    own, fleet = Windows(surprise=compared).halves()
    assert own.surprise is None
    assert fleet is not None
    assert fleet.surprise == compared
    summed = Surprise(statistics=(), peers=("rank",), summary=Summary())
    own, fleet = Windows(surprise=summed, peers=Peers(statistics=())).halves()
    assert own.surprise == Surprise(statistics=(), summary=Summary())
    assert fleet is not None
    assert fleet.surprise == compared
