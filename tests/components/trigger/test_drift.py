from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.trigger import _row_cache as row_cache
from cll.components.trigger.drift import Drift
from cll.types.errors import ConfigError
from tests.build.situations import COLUMNS, DAY, START, at, rows, without_model

STILL = rows(days=40)
MOVED = rows(days=40, moved=35)


def told(situation, **settings):
    return {reason.name: reason for reason in Drift(**settings)(situation)}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"window": timedelta(0)}, r"trigger\.window=0: write how long"),
        ({"reference": 9}, r"trigger\.reference=9: it would never fire; write 10"),
        ({"at_least": 4}, r"trigger\.at_least=4: only 3 windows"),
    ],
)
def test_settings_that_could_never_fire_are_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Drift(**wrong)


def test_without_a_model_in_force_nothing_is_judged():
    (reason,) = Drift()(without_model(at(MOVED, 38)))
    assert not reason.fires
    assert reason.says == "There is no champion yet."


def test_it_rests_after_a_training_whatever_its_verdict():
    says = (
        "The last training was at 2026-02-06T00:00:00Z; this rule rests until 2026-02-09T00:00:00Z."
    )
    (reason,) = Drift()(at(MOVED, 38, trained=36))
    assert (reason.fires, reason.says) == (False, says)
    assert any(reason.fires for reason in Drift(rest=2 * DAY)(at(MOVED, 38, trained=36)))


def test_too_little_reference_is_said_and_does_not_fire():
    found = told(at(MOVED, 38, learnt=9))
    assert "There are 8 reference windows of 1d, 10 are needed." in found["columns"].says
    assert not any(reason.fires for name, reason in found.items() if name != "score")


def test_without_any_row_it_says_what_is_lacking():
    found = told(at(STILL[:0], 38))
    assert found["columns"].says == "There are 0 reference windows of 1d, 10 are needed."
    assert not any(reason.fires for reason in found.values())


def test_days_without_rows_are_no_reference():
    day = START + 3 * DAY
    gap = STILL.filter((pl.col("time") <= day) | (pl.col("time") > day + 15 * DAY))
    found = told(at(gap, 38))
    assert found["columns"].says == "There are 4 reference windows of 1d, 10 are needed."


def test_a_column_that_moved_fires_from_the_second_window_on():
    assert [told(at(MOVED, day))["cpu"].fires for day in (35, 36, 37, 38)] == [
        False,
        False,
        True,
        True,
    ]


def test_a_column_that_stayed_does_not_fire_beside_one_that_moved():
    found = told(at(MOVED, 38))
    assert found["cpu"].value < found["cpu"].bound <= found["memory"].value
    assert not found["memory"].fires


def test_a_column_that_comes_to_miss_values_fires():
    gone = pl.when((pl.col("time") <= START + 35 * DAY) | (pl.col("entity") != "e1")).then("memory")
    found = told(at(STILL.with_columns(memory=gone), 38))
    assert found["memory"].fires


def test_a_column_that_was_constant_fires_when_it_is_another_constant():
    constant = pl.when(pl.col("time") <= START + 35 * DAY).then(1.0).otherwise(2.0)
    assert told(at(STILL.with_columns(memory=constant), 38))["memory"].fires
    assert not told(at(STILL.with_columns(memory=pl.lit(1.0)), 38))["memory"].fires


@pytest.mark.parametrize(("before", "after"), [(0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("share", [1.0, 0.999])
def test_a_column_that_leaves_its_floor_or_ceiling_fires(before, after, share):
    rare = pl.int_range(pl.len()) % 1000 >= 1000 * share
    held = pl.when(rare).then(after).otherwise(before)
    moved = pl.when(pl.col("time") <= START + 35 * DAY).then(held).otherwise(after)
    assert told(at(STILL.with_columns(memory=moved), 38))["memory"].fires
    assert not told(at(STILL.with_columns(memory=held), 38))["memory"].fires


def test_a_column_that_comes_to_be_told_fires():
    told_now = pl.when(pl.col("time") > START + 35 * DAY).then("memory")
    assert told(at(STILL.with_columns(memory=told_now), 38))["memory"].fires


def test_a_column_that_was_never_told_is_no_fault():
    never = pl.lit(None, pl.Float64)
    assert not told(at(STILL.with_columns(memory=never), 38))["memory"].fires


def test_a_score_is_held_against_rows_that_the_model_did_not_learn_from():
    flattered = pl.when(pl.col("time") <= START + 20 * DAY).then(pl.col("p") ** 3).otherwise("p")
    found = told(at(STILL.with_columns(p=flattered), 38))
    assert found["score"].value > found["score"].bound
    early = told(at(STILL, 29))
    assert early["score"].says == "There are 9 reference windows of 1d, 10 are needed."
    assert not early["score"].fires


def test_a_window_with_few_rows_is_not_judged():
    hours = START + 37 * DAY + timedelta(hours=8)
    found = told(at(MOVED.filter(pl.col("time") <= hours), 38))
    assert found["cpu"].value is None
    assert found["cpu"].says == "The newest 1d has too few rows to be compared."


def test_its_rate_of_false_alarms_is_stated():
    assert told(at(STILL, 38))["cpu"].false_alarms == pytest.approx(0.0116, abs=1e-4)
    assert told(at(STILL, 38), at_least=1, of_last=1)["cpu"].false_alarms == pytest.approx(0.05)


def test_the_same_rows_in_another_frame_give_the_same_answer_from_memory(monkeypatch):
    situation = at(MOVED, 38)
    before = Drift()(situation)
    monkeypatch.setattr(
        "cll.components.trigger._distance.learn", None
    )  # it would fail if it were asked
    assert Drift()(replace(situation, read=lambda: situation.rows.clone().rechunk())) == before


def test_other_rows_under_the_same_model_are_learnt_anew():
    row_cache._CACHE.clear()
    drifted = Drift()(at(rows(days=40, by=1.0, moved=10), 38))
    assert Drift()(at(STILL, 38)) != drifted
    assert len(row_cache._CACHE) == 3  # both models' columns, and the score that is the same


@settings(max_examples=20, deadline=None)
@given(st.permutations(COLUMNS), st.integers(30, 40))
def test_the_order_of_columns_changes_nothing_but_the_order_of_reasons(columns, day):
    situation = at(MOVED, day)
    turned = replace(situation, columns=tuple(columns))
    assert told(turned) == told(situation)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 100), st.floats(-100, 100), st.integers(30, 40))
def test_the_unit_of_a_column_changes_nothing(scale, offset, day):
    cpu = (MOVED["cpu"] * scale + offset).round(9)
    plain = told(at(MOVED.with_columns(cpu=MOVED["cpu"].round(9)), day))
    other = told(at(MOVED.with_columns(cpu=cpu), day))
    assert other["cpu"].value == pytest.approx(plain["cpu"].value, abs=0.02)


def test_more_drift_never_looks_like_less():
    p = [told(at(rows(days=40, moved=35, by=by), 38))["cpu"].value for by in (0.0, 0.5, 1.0, 2.0)]
    assert p == sorted(p, reverse=True)
    assert np.isfinite(p).all()
