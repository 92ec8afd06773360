import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from pydantic import TypeAdapter

from cll.components.source import _fleet as fleet
from cll.components.source.synthetic import Synthetic
from cll.types.errors import ConfigError
from cll.types.tables import INCIDENTS, INSTANT, REJECTS, SIGNAL_KEYS
from tests.run.draining import chunks, pieces

START = datetime(2026, 1, 1, tzinfo=UTC)
HALF_HOUR = "truth_incident_1800s"
SMALL = Synthetic(entities=4, step=timedelta(minutes=15))


def day(number):
    return START + timedelta(days=number)


def told(source, as_of):
    *signals, incidents = chunks(source, as_of)
    frames = [chunk.rows for chunk in signals]
    return pl.concat(frames) if frames else None, incidents.rows


@pytest.fixture(scope="module")
def fleet_of_forty():
    source = Synthetic(entities=40, drift_at=day(4) + timedelta(hours=13, minutes=5))
    return told(source, day(10))


def starts_within(signals, incidents, span):
    """Whether an incident of the row's entity starts in (time, time + span]."""
    starts = incidents.select("entity", "start", found="start").sort("start")
    rows = signals.with_row_index("place").sort("time")
    later = rows.join_asof(
        starts,
        left_on="time",
        right_on="start",
        by="entity",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    hit = (pl.col("found") <= pl.col("time") + span).fill_null(value=False)
    return later.sort("place").select(hit).to_series().to_numpy()


def running(signals, incidents):
    """Whether the row's entity is inside an incident."""
    spans = incidents.select("entity", "start", "end", found="start").sort("start")
    rows = (
        signals.with_row_index("place")
        .sort("time")
        .join_asof(spans, left_on="time", right_on="start", by="entity", check_sortedness=False)
    )
    inside = pl.col("found").is_not_null() & (
        pl.col("end").is_null() | (pl.col("end") > pl.col("time"))
    )
    return rows.sort("place").select(inside).to_series().to_numpy()


def worst_bin(chance, came):
    """Return the largest z of any bin of chance; the rows must not share their luck."""
    bins = np.digitize(chance, [0.0005, 0.001, 0.003, 0.01, 0.05, 0.2, 0.4, 0.6, 0.75, 0.85])
    worst = 0.0
    for each in np.unique(bins):
        p, y = chance[bins == each], came[bins == each]
        variance = (p * (1 - p)).sum()
        if variance > 10:
            worst = max(worst, abs((y - p).sum()) / variance**0.5)
    return worst


def area(chance, came):
    ranks = pl.Series(chance).rank().to_numpy()
    hits = came.sum()
    return (ranks[came].sum() - hits * (hits + 1) / 2) / (hits * (len(came) - hits))


def test_a_start_within_a_day_is_refused():
    with pytest.raises(ConfigError, match=r"source.start=2026-01-01T06:00:00Z: start at midnight"):
        Synthetic(start=START + timedelta(hours=6))


@pytest.mark.parametrize("minutes", [0, 7, 120])
def test_a_step_that_does_not_fit_a_day_is_refused(minutes):
    with pytest.raises(ConfigError, match=r"source.step=.*: write a divisor of a day"):
        Synthetic(step=timedelta(minutes=minutes))


def test_a_truth_beyond_a_day_is_refused():
    with pytest.raises(ConfigError, match=r"source.truth_horizons=2d: write spans of at most 1d"):
        Synthetic(truth_horizons=(timedelta(days=2),))


def test_before_its_start_there_are_no_signals_and_no_incidents():
    signals, incidents = told(SMALL, START)
    assert signals is None
    assert incidents.is_empty()


def test_the_yaml_holds_the_defaults():
    path = Path(__file__).parents[3] / "conf" / "source" / "synthetic.yaml"
    written = yaml.safe_load(path.read_text())
    assert written.pop("_target_") == "cll.components.source.synthetic.Synthetic"
    read = TypeAdapter(Synthetic).validate_json(json.dumps(written), strict=True)
    assert read == Synthetic()
    assert set(written) == set(Synthetic.__dataclass_fields__)


def test_chunks_hold_the_columns_they_promise():
    *signals, incidents = chunks(SMALL, day(2))
    columns = SMALL.columns
    assert [chunk.table for chunk in signals] == ["signals", "signals"]
    promised = [*SIGNAL_KEYS, *columns.numeric, "outcome", "outcome_known_at", "group"]
    assert signals[0].rows.columns == [*promised, *columns.truth, "file", "row"]
    assert all(signals[0].rows.schema[name] == INSTANT for name in ("time", "outcome_known_at"))
    assert dict(incidents.rows.schema) == {**INCIDENTS, "file": pl.String, "row": pl.Int64}
    for chunk in (*signals, incidents):
        assert chunk.records == chunk.rows.height
        assert chunk.rejects.is_empty()
        assert dict(chunk.rejects.schema) == REJECTS


def test_records_come_in_order_and_are_numbered_through():
    signals, _ = told(SMALL, day(3))
    assert signals.select("time", "entity").equals(signals.select("time", "entity").sort("time"))
    assert signals["row"].to_list() == list(range(1, 3 * 96 * 4 + 1))


def test_values_are_in_their_units_and_told_to_few_digits():
    signals, _ = told(SMALL, day(5))
    ranges = {"cpu_usage": 100, "memory_usage": 100, "error_rate": 1, "response_time": 60}
    for name, most in ranges.items():
        assert signals[name].is_between(0, most).all()
        assert (signals[name] == signals[name].round(6)).all()
        assert signals[name].n_unique() > 100


def test_every_entity_has_a_level_of_its_own_and_a_daily_load():
    signals, _ = told(Synthetic(entities=6), day(10))
    medians = signals.group_by("entity").agg(pl.col("response_time").median())["response_time"]
    assert medians.max() > 2 * medians.min()
    hours = signals.filter(pl.col("group") == "web").group_by(pl.col("time").dt.hour())
    by_hour = hours.agg(pl.col("cpu_usage").median())["cpu_usage"]
    assert by_hour.max() > by_hour.min() + 10


@settings(max_examples=15, deadline=None)
@given(hours=st.integers(min_value=1, max_value=70), seed=st.integers(0, 3))
def test_what_was_told_by_an_instant_is_told_alike_later(hours, seed):
    source = replace(SMALL, seed=seed, duplicates=0.1, late=0.1, missing=0.1)
    as_of = START + timedelta(hours=hours, minutes=5)
    early, _ = told(source, as_of)
    late, _ = told(source, day(4))
    assert early["time"].max() < as_of
    assert_frame_equal(early, late.filter(pl.col("time") < as_of))


def test_another_seed_is_another_history():
    ours, _ = told(SMALL, day(1))
    theirs, _ = told(replace(SMALL, seed=8), day(1))
    assert not ours["cpu_usage"].equals(theirs["cpu_usage"])


def test_an_incident_that_runs_at_as_of_is_open_and_closes_later():
    _, whole = told(SMALL, day(20))
    first = whole.row(0, named=True)
    _, then = told(SMALL, first["start"] + (first["end"] - first["start"]) / 2)
    assert then["start"].to_list() == [first["start"]]
    assert then["end"].to_list() == [None]
    assert then["kind"].to_list() == [first["kind"]]


def test_incidents_of_an_entity_neither_touch_nor_overlap():
    _, incidents = told(Synthetic(), day(20))
    spans = incidents.sort("entity", "start")
    gaps = spans.select((pl.col("start") - pl.col("end").shift()).over("entity").alias("gap"))
    assert spans["kind"].n_unique() == 4
    assert gaps["gap"].drop_nulls().min() > timedelta(0)


def test_outcomes_and_incidents_are_known_after_their_delays():
    signals, incidents = told(SMALL, day(10))
    assert (signals["outcome_known_at"] - signals["time"]).unique().to_list() == [SMALL.label_delay]
    assert (incidents["known_at"] - incidents["start"]).unique().to_list() == [SMALL.incident_delay]


def test_the_default_has_hundreds_of_incidents_and_few_positive_rows():
    signals, incidents = told(Synthetic(), day(30))
    assert signals.height == 172_800
    free = ~running(signals, incidents)
    soon = starts_within(signals, incidents, timedelta(minutes=30))[free]
    assert incidents.height > 300
    assert 0.02 < soon.mean() < 0.05
    assert 0.93 < area(signals[HALF_HOUR].to_numpy()[free], soon) < 0.975


def test_to_be_failing_now_is_to_be_inside_an_incident(fleet_of_forty):
    signals, incidents = fleet_of_forty
    assert (signals["truth_incident_0s"].to_numpy() == running(signals, incidents)).all()


def test_the_true_chance_of_an_incident_is_its_rate_in_every_bin(fleet_of_forty):
    signals, incidents = fleet_of_forty
    came = starts_within(signals, incidents, timedelta(minutes=30))
    # Every sixth step: windows that don't overlap, so that misses are uncorrelated.
    apart = (signals["time"].dt.minute() % 30 == 0) & (
        signals["time"] < day(10) - timedelta(hours=1)
    )
    keep = apart.to_numpy()
    assert came[keep].sum() > 200
    assert worst_bin(signals[HALF_HOUR].to_numpy()[keep], came[keep]) < 3.3


def test_the_true_chance_of_an_outcome_is_its_rate_in_every_bin(fleet_of_forty):
    signals, _ = fleet_of_forty
    assert worst_bin(signals["truth_outcome"].to_numpy(), signals["outcome"].to_numpy()) < 3.3


@pytest.mark.parametrize("drift_slot", [-1, 0, 3, 23, 25, 99])
def test_the_chance_is_that_of_the_chain_written_out_across_drift(drift_slot):
    world = fleet.build(seed=1, entities=2, slots=24, drift=1.0)
    steps, slot, entity = 5, 22, 1
    states = [(kind, stage) for kind in range(4) for stage in range(1, 5)]
    survive = np.ones(17)  # state 0 is healthy; never to have entered stage 4 since
    for step in reversed(range(slot, slot + steps)):
        law = world.moves[int(step >= drift_slot)]
        at = (step % 24, entity)
        chain = np.zeros((17, 17))
        for kind, onset in enumerate(law.onset[at]):
            chain[0, 1 + 4 * kind] = onset
        for i, (kind, stage) in enumerate(states, start=1):
            chain[i, 0] = law.down[(*at, kind, stage)]
            if stage < 4:
                up = law.up[(*at, kind, stage)]
                chain[i, i] = 1 - chain[i, 0] - up
                chain[i, i + 1] = up if stage < 3 else 0.0  # into stage 4: lost
            else:
                chain[i, i] = 1 - chain[i, 0]
        chain[0, 0] = 1 - chain[0].sum()
        survive = chain @ survive
    chance = fleet.incident_chance(world, steps, drift_slot)[slot, entity]
    assert chance[:, 0] == pytest.approx(1 - survive[0], abs=1e-12)
    assert [chance[s] for s in states] == pytest.approx(1 - survive[1:], abs=1e-12)


def test_drift_leaves_the_past_alone_and_changes_what_follows():
    plain, _ = told(SMALL, day(6))
    drifted, _ = told(replace(SMALL, drift_at=day(3)), day(6))
    names = ["entity", "time", *SMALL.columns.numeric, "outcome"]
    before = pl.col("time") < day(3)
    assert_frame_equal(plain.filter(before).select(names), drifted.filter(before).select(names))
    assert not plain.select(names).equals(drifted.select(names))


def test_drift_of_no_strength_changes_nothing():
    plain, _ = told(SMALL, day(6))
    drifted, _ = told(replace(SMALL, drift_at=day(3), drift=0.0), day(6))
    assert_frame_equal(plain, drifted)


def test_missing_values_are_null_and_their_records_else_the_same():
    plain, _ = told(SMALL, day(10))
    holed, _ = told(replace(SMALL, missing=0.1), day(10))
    for name in SMALL.columns.numeric:
        assert holed[name].null_count() / holed.height == pytest.approx(0.1, abs=0.02)
    filled = holed.with_columns(pl.col(n).fill_null(plain[n]) for n in SMALL.columns.numeric)
    assert_frame_equal(filled, plain)


def test_late_records_are_handed_over_before_they_are_known():
    source = replace(SMALL, late=0.2, late_by=timedelta(hours=3))
    signals, _ = told(source, day(10))
    wait = (signals["known_at"] - signals["time"]).dt.total_seconds()
    assert (wait > 0).mean() == pytest.approx(0.2, abs=0.02)
    assert wait.max() <= 3 * 3600
    assert (signals["known_at"] > day(10)).any()


def test_duplicates_repeat_a_record_exactly_and_change_no_other():
    plain, _ = told(SMALL, day(10))
    doubled, _ = told(replace(SMALL, duplicates=0.1), day(10))
    assert doubled.height / plain.height == pytest.approx(1.1, abs=0.02)
    assert_frame_equal(doubled.drop("row").unique(maintain_order=True), plain.drop("row"))


def test_all_troubles_at_once_are_the_same_twice():
    source = replace(SMALL, missing=0.1, late=0.1, duplicates=0.1)
    once, twice = told(source, day(3)), told(source, day(3))
    assert once[0].equals(twice[0])
    assert once[1].equals(twice[1])


def test_it_reads_no_files():
    assert SMALL.reads == ()


UNRULY = replace(SMALL, missing=0.1, late=0.2, duplicates=0.1, drift_at=day(1))


def test_pieces_read_in_any_order_and_not_all_hold_the_same_rows():
    as_of = day(4) + timedelta(hours=5)
    wanted = [piece.read().rows for piece in pieces(UNRULY, as_of)]
    assert wanted[3]["row"][0] > wanted[2]["row"][-1]
    for order in ([5, 4, 3, 2, 1, 0], [3, 1], [5], [4, 4]):
        again = pieces(UNRULY, as_of)
        assert all(again[i].read().rows.equals(wanted[i]) for i in order)


def test_a_day_that_is_over_is_the_same_piece_at_a_later_as_of():
    early, late = pieces(UNRULY, day(2) + timedelta(hours=5)), pieces(UNRULY, day(4))
    assert [piece.key for piece in early[:2]] == [piece.key for piece in late[:2]]
    assert early[2].key != late[2].key
    assert early[-1].key != late[-1].key
    assert all(a.read().rows.equals(b.read().rows) for a, b in zip(early[:2], late, strict=False))


def test_pieces_read_by_two_threads_hold_the_same_rows():
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda piece: piece.read().rows, pieces(UNRULY, day(5))))
    assert all(a.equals(b.rows) for a, b in zip(found, chunks(UNRULY, day(5)), strict=True))
