import json

import pytest

from cll.loop import trigger_report
from cll.types.triggers import Reason, TriggerDecision
from tests.build import released, small

QUIET = Reason("schedule", False, 2.0, 7.0, "2 of 7 days are over.", 0.0)  # noqa: FBT003
FIRING = Reason("decay", True, 0.123456789, 0.2, "It got worse.", 0.01)  # noqa: FBT003
BARE = Reason("first", True, None, None, "Nothing was trained yet.")  # noqa: FBT003


def test_each_rule_is_explained_with_its_numbers_and_its_false_alarms():
    told = trigger_report.explained(TriggerDecision(True, (QUIET, FIRING, BARE)))  # noqa: FBT003
    assert told == [
        "quiet  schedule 2 (bound 7): 2 of 7 days are over.",
        "       false alarms: 0 a tick",
        "fires  decay 0.1235 (bound 0.2): It got worse.",
        "       false alarms: 0.01 a tick",
        "fires  first: Nothing was trained yet.",
        "       false alarms: not stated",
        "train: decay, first",
    ]


def test_numbers_are_told_to_programs_with_six_decimals_and_never_as_nan():
    odd = Reason("odd", False, float("nan"), "x", "?", None)  # noqa: FBT003
    told = trigger_report.as_json(TriggerDecision(True, (FIRING, odd)))["reasons"]  # noqa: FBT003
    assert told[0]["value"] == 0.123457
    assert told[1]["value"] is None
    assert json.dumps(told, allow_nan=False)


def test_where_nothing_was_trained_no_data_are_asked_for(tmp_path):
    ws = small.project(tmp_path / "project")
    small.compose_into(ws, small.CLASSIC)
    assert trigger_report.in_short(trigger_report.ask_triggers(ws)) == "train: first"


@pytest.fixture
def ws(tmp_path_factory, tmp_path):
    return released.copied(released.twice(tmp_path_factory), tmp_path / "project")


@pytest.mark.slow
def test_the_triggers_are_asked_of_the_project_as_it_lies_there(ws):
    before = {path: path.read_bytes() for path in ws.root.rglob("*") if path.is_file()}
    assert small.cll(ws.root, "trigger").out == "nothing asks for a training\n"
    assert small.cll(ws.root, "trigger", "--explain").out.splitlines() == [
        "quiet  never: Nothing asks for a training.",
        "       false alarms: 0 a tick",
        "nothing asks for a training",
    ]
    told = json.loads(small.cll(ws.root, "trigger", "--json").out)
    assert told["fires"] is False
    assert [one["name"] for one in told["reasons"]] == ["never"]
    assert {path: path.read_bytes() for path in ws.root.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_what_was_said_is_written_with_the_instant_and_no_clock(ws):
    answer = trigger_report.ask_triggers(ws)
    trigger_report.write(ws, answer)
    first = (ws.reports / trigger_report.NAME).read_bytes()
    trigger_report.write(ws, answer)
    assert (ws.reports / trigger_report.NAME).read_bytes() == first
    told = json.loads(first)
    assert told["as_of"] == "2026-01-05T00:00:00Z"
    assert told["champion"] != "none"


@pytest.mark.slow
def test_after_as_of_was_moved_back_a_later_training_keeps_nothing_silent(ws):
    world = ws.root / "world.yaml"
    world.write_text(world.read_text().replace("2026-01-05", "2026-01-04"))
    assert trigger_report.in_short(trigger_report.ask_triggers(ws)) == "train: first"
