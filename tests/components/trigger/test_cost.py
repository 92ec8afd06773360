from datetime import timedelta

import pytest

from cll.components.trigger.cost import Cost
from cll.types.errors import ConfigError
from tests.build.situations import DAY, at, rows, without_model

STILL = rows(days=40)
MISLED = rows(days=40, misled=30)


def told(situation, **settings):
    (reason,) = Cost(**settings)(situation)
    return reason


def test_spans_of_nothing_are_refused():
    with pytest.raises(ConfigError, match=r"trigger\.serves=0: write how long"):
        Cost(serves=timedelta(0))


def test_nothing_is_reckoned_without_a_model_a_threshold_or_two_windows():
    assert told(without_model(at(MISLED, 40))).says == "There is no champion yet."
    assert "no threshold" in told(at(MISLED, 40, threshold=None)).says
    few = told(at(MISLED, 35.9, learnt=30))
    assert few.says == "Needs two windows of 3d with labelled rows."
    assert not few.fires


def test_it_rests_after_a_training_whatever_its_verdict():
    assert "rests until" in told(at(MISLED, 40, trained=38)).says


def test_the_gain_is_the_errors_saved_until_the_next_training():
    reason = told(at(MISLED, 40), training=10.0)
    short = told(at(MISLED, 40), training=10.0, serves=DAY)
    assert reason.fires
    assert reason.value == pytest.approx(7 * short.value)
    assert "over 1,680 rows in 7d a training avoids" in reason.says
    assert "costs as much as 10." in reason.says


def test_a_training_that_costs_more_than_it_saves_does_not_fire():
    gain = told(at(MISLED, 40)).value
    assert not told(at(MISLED, 40), training=gain).fires
    assert told(at(MISLED, 40), training=gain - 1).fires


def test_a_model_that_stayed_as_good_saves_little():
    assert abs(told(at(STILL, 40)).value) < told(at(MISLED, 40)).value / 2


def test_no_rate_of_false_alarms_is_stated_since_it_is_no_test():
    assert told(at(STILL, 40)).false_alarms is None
