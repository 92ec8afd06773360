import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.trigger.data import Data
from cll.config.components import build, load_yaml
from cll.types.errors import ConfigError
from tests.build.situations import at, rows
from tests.conftest import ROOT

FRAME = rows(days=30)


def told(situation, **limits):
    return {one.name: (one.value, one.fires) for one in Data(**limits)(situation)}


def test_a_trigger_without_a_rule_is_refused():
    with pytest.raises(ConfigError, match=r"trigger\.rows=null: it would never fire"):
        Data()


def test_a_limit_of_nothing_is_refused_by_its_annotation():
    with pytest.raises(ConfigError, match=r"trigger\.data\.rows=0: input should be greater"):
        build("trigger", {"data": {"_target_": "cll.components.trigger.data.Data", "rows": 0}})


def test_labels_count_from_when_they_became_known():
    day = at(FRAME, 26, trained=25)  # labels of the last hour before 25 were not known by then
    assert told(day, rows=240, partitions=2)["rows"] == (240, True)
    assert told(day, rows=241)["rows"] == (240, False)
    assert told(day, partitions=2)["partitions"] == (1, False)


def test_positive_rows_are_counted_alone():
    day = at(FRAME, 26, trained=25)
    known = day.rows.filter(day.rows["known_at"] > day.trained)
    assert told(day, positives=1)["positives"] == (known["label"].sum(), True)


def test_nothing_new_is_nothing():
    assert told(at(FRAME, 25, trained=25), rows=1, positives=1) == {
        "rows": (0, False),
        "positives": (0, False),
    }


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 29), st.integers(0, 29), st.integers(1, 3000))
def test_what_fires_at_a_tick_fires_at_each_later_one_until_a_training(trained, later, limit):
    earlier, after = (
        told(at(FRAME, day, trained=trained), rows=limit)
        for day in (trained, min(trained + later, 30))
    )
    assert after["rows"][0] >= earlier["rows"][0]
    assert after["rows"][1] >= earlier["rows"][1]


@pytest.mark.parametrize(
    "choice", ["data", "weekly", "daily", "drift", "decay", "cost", "default", "never"]
)
def test_each_choice_builds_and_answers(choice):
    triggers = build("trigger", load_yaml(ROOT / f"conf/trigger/{choice}.yaml"))
    for trigger in triggers.values():
        assert all(reason.says.endswith(".") for reason in trigger(at(FRAME, 30)))
