from datetime import timedelta

import polars as pl
import pytest

from cll.components.trigger.decay import Decay
from cll.types.errors import ConfigError
from tests.build.situations import DAY, START, at, rows, without_model

STILL = rows(days=40)
MISLED = rows(days=40, misled=35)
METRICS = ("roc_auc", "log_loss", "brier", "accuracy")


def told(situation, **settings):
    (reason,) = Decay(**settings)(situation)
    return reason


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"window": timedelta(0)}, r"trigger\.window=0: write how long"),
        ({"at_least": 4}, r"trigger\.at_least=4: only 3 windows"),
    ],
)
def test_settings_that_could_never_fire_are_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Decay(**wrong)


def test_without_a_model_in_force_nothing_is_judged():
    assert told(without_model(at(MISLED, 39))).says == "There is no champion yet."


def test_it_rests_after_a_training_whatever_its_verdict():
    assert "rests until 2026-02-11T00:00:00Z" in told(at(MISLED, 39, trained=38)).says


def test_too_short_a_history_is_said_and_does_not_fire():
    reason = told(at(MISLED, 39, learnt=30))
    assert reason.says == "8 windows of 1d have their labels, 10 are needed."
    assert not reason.fires


def test_accuracy_needs_a_threshold():
    assert "no threshold" in told(at(MISLED, 39, threshold=None), metric="accuracy").says
    assert told(at(MISLED, 39, threshold=None), metric="roc_auc").fires


def test_windows_of_one_outcome_tell_no_auc_and_do_not_fire():
    reason = told(at(MISLED.with_columns(label=pl.lit(0, pl.Int8)), 39))
    assert reason.says == (
        "0 windows of 1d have a roc_auc from when the model was new, and 3 windows are newer."
    )


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_that_got_worse_fires_and_one_that_stayed_does_not(metric):
    assert told(at(MISLED, 40, threshold=0.2), metric=metric).fires
    assert not told(at(STILL, 40, threshold=0.2), metric=metric).fires


def test_one_bad_window_is_not_enough_and_an_old_one_neither():
    assert not told(at(MISLED, 36.1)).fires
    mended = pl.when(pl.col("time") > START + 38 * DAY).then(STILL["p"]).otherwise("p")
    assert not told(at(MISLED.with_columns(p=mended), 39.1)).fires
    assert told(at(MISLED, 39.1)).fires


def test_a_window_waits_until_its_labels_are_known():
    late = MISLED.with_columns(known_at=pl.col("time") + 2 * DAY)
    assert told(at(MISLED, 37.1)).fires
    assert not told(at(late, 37.1)).fires
    assert told(at(late, 39.1)).fires


def test_a_few_labels_that_come_much_later_hold_up_nothing():
    never = pl.col("entity").eq("e1") & pl.col("time").eq(START + 30 * DAY)
    late = pl.when(never).then(pl.col("time") + 900 * DAY).otherwise("known_at")
    reason = told(at(MISLED.with_columns(known_at=late), 39))
    assert reason.fires
    assert not told(at(MISLED.with_columns(known_at=late), 39), unknown=0.0).fires


def test_it_says_what_the_metric_was_and_is():
    reason = told(at(STILL, 40))
    assert reason.says.startswith("roc_auc is 0.811 over the newest 1d, and was 0.747 (p 0.97)")
    assert reason.value > reason.bound == 0.05
    assert reason.false_alarms == pytest.approx(0.0116, abs=1e-4)


def test_the_same_situation_gives_the_same_answer():
    assert told(at(MISLED, 39)) == told(at(MISLED, 39))
    assert told(at(MISLED, 39, threshold=0.1), metric="accuracy") != told(
        at(MISLED, 39, threshold=0.9), metric="accuracy"
    )


def test_a_window_with_few_labelled_rows_is_not_judged():
    seldom = (pl.col("time") <= START + 37 * DAY) | (pl.col("entity") == "e1")
    reason = told(at(MISLED.filter(seldom), 39))
    assert reason.says == "The newest 1d has too few labelled rows for a roc_auc."
    assert (reason.fires, reason.value) == (False, None)


def test_answers_are_told_by_rows_that_have_both_label_and_score():
    unscored = pl.when(pl.col("entity") != "e1").then("p")
    assert told(at(MISLED.with_columns(p=unscored), 39)).fires


def test_a_model_that_was_never_wrong_may_be_so_once():
    right = STILL.with_columns(p=pl.col("label").cast(pl.Float64))
    once = pl.when(pl.col("time") == START + 38 * DAY).then(1 - pl.col("p")).otherwise("p")
    assert not told(at(right, 39), metric="accuracy").fires
    assert not told(at(right.with_columns(p=once), 39), metric="accuracy").fires
