import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cll.components.metric import standard
from cll.config.components import build, load_yaml
from cll.pipeline.gate.champion_rules import Slices
from cll.pipeline.gate.gate import Candidate, GateSettings, as_json, decide, exit_code
from cll.types.directions import directions_of
from cll.types.errors import ConfigError

CANDIDATE = Candidate("c1", calibrated=True, importance={"cpu": 0.5, "memory": 0.5})
DIRECTIONS = directions_of(
    {name: getattr(standard, name) for name in ("average_precision", "roc_auc", "brier", "f1")}
)
ORDER = ["reject", "not enough evidence", "promote"]


def span(value, half=0.02):
    return {"value": value, "low": value - half, "high": value + half}


def good():
    """Metrics of a candidate that passes every rule, also against a champion."""
    return {
        "candidate": {
            "roc_auc": span(0.9),
            "average_precision": span(0.6),
            "calibration_error": span(0.03),
        },
        "difference": {"average_precision": span(0.05)},
        "baseline": {
            name: {"average_precision": 0.2} for name in ("prior", "no_change", "one_column")
        },
        "over": {
            name: {"average_precision": span(0.4)} for name in ("prior", "no_change", "one_column")
        },
        "data": {"positive_blocks": 60, "holdout_positives": 600},
        "leakage": {
            "shared_rows": 0,
            "late_train_rows": 0,
            "champion_rows": 0,
            "best_column": "cpu",
            "best_column_auc": 0.8,
        },
    }


def without(*path):
    metrics = good()
    node = metrics
    for key in path[:-1]:
        node = node[key]
    del node[path[-1]]
    return metrics


def having(value, *path):
    metrics = good()
    node = metrics
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return metrics


def verdict(metrics, candidate=CANDIDATE, champion="none", **settings):
    return decide(metrics, DIRECTIONS, GateSettings(**settings), candidate, champion)


def rule(found, name):
    (one,) = [rule for rule in found.rules if rule.name == name]
    return one


def test_a_figure_below_its_floor_rejects():
    found = verdict(having(span(0.55), "candidate", "roc_auc"))
    assert found.answer == "reject"
    assert rule(found, "floor.roc_auc").outcome == "failed"
    assert rule(found, "floor.roc_auc").says == (
        "roc_auc is 0.55 (0.53 to 0.57); its low end must be at least 0.6."
    )


def test_a_floor_that_only_the_low_end_misses_leaves_it_open():
    found = verdict(having(span(0.61), "candidate", "roc_auc"))
    assert found.answer == "not enough evidence"
    assert rule(found, "floor.roc_auc").outcome == "not enough evidence"


def test_a_floor_is_passed_from_its_very_value_up():
    metrics = having({"value": 0.7, "low": 0.6, "high": 0.8}, "candidate", "roc_auc")
    assert rule(verdict(metrics), "floor.roc_auc").outcome == "passed"


def test_a_floor_on_a_figure_that_is_not_defined_leaves_it_open():
    found = verdict(without("candidate", "roc_auc"))
    assert found.answer == "not enough evidence"
    assert rule(found, "floor.roc_auc").says == (
        "candidate.roc_auc has no interval: not defined on these rows, or no such metric is chosen."
    )


def test_a_floor_of_null_is_lifted():
    found = verdict(having(span(0.55), "candidate", "roc_auc"), floors={"roc_auc": None})
    assert found.answer == "promote"


def test_a_figure_above_its_ceiling_rejects():
    found = verdict(having(span(0.2), "candidate", "calibration_error"))
    assert found.answer == "reject"
    assert rule(found, "ceiling.calibration_error").outcome == "failed"
    open_ = verdict(having(span(0.09), "candidate", "calibration_error"))
    assert rule(open_, "ceiling.calibration_error").outcome == "not enough evidence"


@pytest.mark.parametrize("name", ["prior", "no_change", "one_column"])
def test_a_candidate_that_loses_to_a_baseline_is_rejected(name):
    found = verdict(having({"average_precision": span(-0.03)}, "over", name))
    assert found.answer == "reject"
    assert rule(found, f"beats.{name}").outcome == "failed"
    same = verdict(having({"average_precision": span(0.0, 0.0)}, "over", name))
    assert same.answer == "reject"


@pytest.mark.parametrize("gain", [0.01, 0.0, -0.003])
def test_a_gain_over_a_baseline_whose_interval_holds_zero_leaves_it_open(gain):
    found = verdict(having({"average_precision": span(gain)}, "over", "no_change"))
    assert rule(found, "beats.no_change").outcome == "not enough evidence"
    assert found.answer == "not enough evidence"


def test_a_metric_without_a_paired_interval_is_no_evidence_against_any_baseline():
    metrics = without("over")
    metrics["over"] = {name: {"roc_auc": span(0.4)} for name in metrics["baseline"]}
    found = verdict(metrics)
    assert found.answer == "not enough evidence"
    for name in metrics["baseline"]:
        assert rule(found, f"beats.{name}").outcome == "not enough evidence"
        assert rule(found, f"beats.{name}").says == (
            f"over.{name}.average_precision has no interval: add average_precision to "
            "evaluate.paired, unless it is not defined on these rows."
        )


def test_missing_baselines_leave_it_open_but_for_one_column():
    metrics = without("over", "one_column")
    del metrics["baseline"]["one_column"]
    assert rule(verdict(metrics), "beats.one_column").outcome == "noted"
    assert verdict(metrics).answer == "promote"
    del metrics["baseline"], metrics["over"]
    assert rule(verdict(metrics), "beats.one_column").outcome == "not enough evidence"
    assert rule(verdict(metrics), "beats.prior").outcome == "not enough evidence"


def test_a_column_that_is_the_answer_rejects():
    found = verdict(having(0.999, "leakage", "best_column_auc"))
    assert found.answer == "reject"
    assert rule(found, "leak.column").says == (
        "cpu alone has a ROC AUC of 0.999 on the training rows; 0.995 is a leak."
    )


def test_a_candidate_too_good_to_be_true_is_rejected():
    found = verdict(having(span(0.9995, 0.0001), "candidate", "roc_auc"))
    assert found.answer == "reject"
    assert rule(found, "leak.score").outcome == "failed"


def test_a_held_out_row_that_was_trained_on_rejects():
    found = verdict(having(1, "leakage", "shared_rows"))
    assert found.answer == "reject"
    assert rule(found, "leak.overlap").outcome == "failed"


def test_training_rows_as_late_as_the_holdout_are_noted():
    found = verdict(having(7, "leakage", "late_train_rows"))
    assert found.answer == "promote"
    assert rule(found, "leak.split").outcome == "noted"


def test_one_feature_that_does_all_the_work_is_noted():
    found = verdict(
        good(), Candidate("c1", calibrated=True, importance={"cpu": 0.95, "memory": 0.05})
    )
    assert found.answer == "promote"
    assert rule(found, "leak.importance").outcome == "noted"
    alone = verdict(good(), Candidate("c1", calibrated=True, importance={"cpu": 1.0}))
    assert "leak.importance" not in {one.name for one in alone.rules}


def test_a_model_that_is_not_calibrated_is_noted():
    found = verdict(good(), Candidate("c1", calibrated=False))
    assert found.answer == "promote"
    assert rule(found, "calibration").outcome == "noted"
    assert rule(found, "calibration").says == "The probabilities are not calibrated."


def test_the_reason_why_a_model_is_not_calibrated_is_told():
    why = "Not calibrated: 12 positive blocks, 50 are needed."
    found = verdict(good(), Candidate("c1", calibrated=False, notes={"calibration": why}))
    assert rule(found, "calibration").says == why


def test_notes_are_passed_on():
    found = verdict(
        good(), Candidate("c1", calibrated=True, notes={"rounds": "Stopped at the first round."})
    )
    assert rule(found, "note.rounds").says == "Stopped at the first round."


def test_too_few_positive_blocks_leave_it_open():
    found = verdict(having({"positive_blocks": 9}, "data"))
    assert found.answer == "not enough evidence"
    assert rule(found, "evidence").says == "9 held-out blocks have a positive row; 10 are needed."
    assert verdict(without("data")).answer == "not enough evidence"


def test_one_failed_rule_outweighs_missing_evidence():
    metrics = having({"positive_blocks": 0}, "data")
    metrics["leakage"]["shared_rows"] = 5
    assert verdict(metrics).answer == "reject"


def test_the_first_candidate_is_promoted_when_every_rule_passes():
    found = verdict(good())
    assert (found.answer, found.model_id, found.champion) == ("promote", "c1", "none")
    assert "beats.champion" not in {one.name for one in found.rules}


def test_a_gain_that_clears_the_bound_promotes():
    assert verdict(good(), champion="c0", min_gain=0.02).answer == "promote"


def test_a_gain_that_cannot_reach_the_bound_rejects():
    found = verdict(having({"average_precision": span(-0.03)}, "difference"), champion="c0")
    assert found.answer == "reject"
    assert rule(found, "beats.champion").outcome == "failed"
    assert verdict(good(), champion="c0", min_gain=0.07).answer == "reject"


def test_a_gain_between_asks_for_more_positives():
    found = verdict(having({"average_precision": span(0.01)}, "difference"), champion="c0")
    assert found.answer == "not enough evidence"
    # Half the width is twice the gain: four times the evidence.
    assert rule(found, "beats.champion").says.endswith(
        "It would take about 2400 positive rows in 240 blocks (now 60)."
    )
    worse = verdict(having({"average_precision": span(-0.01)}, "difference"), champion="c0")
    assert "about 2400 positive rows in 240 blocks" in rule(worse, "beats.champion").says


def test_a_gain_at_the_very_bound_is_beyond_what_positives_settle():
    found = verdict(having({"average_precision": span(0.0)}, "difference"), champion="c0")
    assert rule(found, "beats.champion").says.endswith("for more positives to settle it.")


def test_a_negative_bound_lets_in_what_is_surely_not_worse_by_more():
    metrics = having({"average_precision": span(-0.01)}, "difference")
    assert verdict(metrics, champion="c0", min_gain=-0.05).answer == "promote"
    found = verdict(metrics, champion="c0", min_gain=-0.02)
    assert found.answer == "not enough evidence"
    assert rule(found, "beats.champion").says.startswith(
        "The candidate's gain in average_precision over the champion is -0.01 (-0.03 to 0.01); it "
        "must be above -0.02, which lets it be worse, but surely not by more. It would take about"
    )
    worse = having({"average_precision": span(-0.08)}, "difference")
    assert verdict(worse, champion="c0", min_gain=-0.05).answer == "reject"


def test_a_bound_below_what_any_metric_can_lose_is_refused():
    with pytest.raises(
        ConfigError, match=r"^gate\.min_gain=-1\.1: input should be greater than or"
    ):
        build("gate", {"_target_": "cll.pipeline.gate.gate.GateSettings", "min_gain": -1.1})


def test_a_champion_that_was_not_compared_leaves_it_open():
    assert verdict(without("difference"), champion="c0").answer == "not enough evidence"


def seen(gain=0.05, late=0):
    metrics = having({"average_precision": span(gain)}, "difference")
    told = {"champion_rows": 40, "champion_saw_until": "2026-01-20T00:00:00Z"}
    metrics["leakage"] |= told | {"late_train_rows": late}
    return metrics


def test_a_champion_that_learnt_from_held_out_rows_is_no_fair_rival():
    found = verdict(seen(), champion="c0")
    assert found.answer == "not enough evidence"
    one = rule(found, "leak.champion")
    assert (one.value, one.bound, one.outcome) == (40, 0, "not enough evidence")
    assert one.says.startswith(
        "40 held-out rows are not newer than the champion's training rows (until 2026-01-20T"
    )


def test_a_loss_to_a_champion_that_saw_the_rows_rejects_nothing():
    found = verdict(seen(gain=-0.2), champion="c0")
    assert found.answer == "not enough evidence"
    assert rule(found, "beats.champion").outcome == "not enough evidence"
    assert "positive rows" not in rule(found, "beats.champion").says


def test_where_the_split_is_not_in_time_old_rows_are_only_noted():
    found = verdict(seen(late=7), champion="c0")
    assert found.answer == "promote"
    assert rule(found, "leak.champion").outcome == "noted"


def test_figures_that_do_not_tell_what_the_champion_saw_leave_it_open():
    found = verdict(without("leakage", "champion_rows"), champion="c0")
    assert found.answer == "not enough evidence"
    assert rule(found, "leak.champion").value is None


def sliced(value, half=0.02):
    return {**good(), "slice_difference": {"group=web": {"roc_auc": span(value, half)}}}


@pytest.mark.parametrize(
    ("value", "half", "outcome", "answer"),
    [
        (0.1, 0.02, "passed", "promote"),
        (-0.05, 0.02, "passed", "promote"),  # within the tolerance
        (-0.06, 0.02, "failed", "reject"),
        (-0.06, 0.07, "noted", "promote"),  # zero is in its interval
    ],
)
def test_a_slice_that_surely_loses_more_than_the_tolerance_rejects(value, half, outcome, answer):
    found = verdict(sliced(value, half), champion="c0")
    one = rule(found, "slice.group=web")
    assert (one.value, one.bound, one.outcome) == (value, -0.05, outcome)
    assert found.answer == answer


def test_slices_are_not_asked_about_where_that_is_lifted_or_none_was_compared():
    for found in (
        verdict(sliced(-0.5), champion="c0", slices=None),
        verdict(sliced(-0.5), champion="c1"),
        verdict(sliced(-0.5)),
        verdict({**good(), "slice_difference": {"group=web": {}}}, champion="c0"),
    ):
        assert not [one for one in found.rules if one.name.startswith("slice.")]


def test_a_slices_metric_where_lower_is_better_is_turned_around():
    metrics = {**good(), "slice_difference": {"kind=leak": {"brier": span(0.2)}}}
    slices = Slices("brier", 0.1)
    assert verdict(metrics, champion="c0", slices=slices).answer == "reject"


def test_every_rule_has_a_bound_but_a_note():
    for one in verdict(good(), champion="c0").rules:
        assert one.bound is not None


def test_a_difference_without_an_interval_leaves_it_open():
    metrics = having({"average_precision": {"value": 0.3}}, "difference")
    assert verdict(metrics, champion="c0").answer == "not enough evidence"


def test_data_without_columns_has_no_column_to_suspect():
    found = verdict(having({"shared_rows": 0, "late_train_rows": 0}, "leakage"))
    assert found.answer == "promote"
    assert "leak.column" not in {one.name for one in found.rules}


def test_the_champion_itself_has_nothing_to_gain():
    found = verdict(without("difference"), champion="c1")
    assert found.answer == "promote"
    assert rule(found, "beats.champion").outcome == "noted"


def test_a_metric_where_lower_is_better_is_turned_around():
    metrics = good()
    for tree in (metrics["difference"], *metrics["over"].values()):
        tree["brier"] = span(-0.05)
    assert verdict(metrics, champion="c0", metric="brier").answer == "promote"
    for tree in (metrics["difference"], *metrics["over"].values()):
        tree["brier"] = span(0.05)
    assert verdict(metrics, champion="c0", metric="brier").answer == "reject"


@pytest.mark.parametrize(
    ("metrics", "code"),
    [
        (good(), 0),
        (having(1, "leakage", "shared_rows"), 10),
        (having({"positive_blocks": 9}, "data"), 11),
    ],
)
def test_the_answer_has_an_exit_code(metrics, code):
    assert exit_code(verdict(metrics)) == code


def test_a_verdict_is_json_in_the_order_of_its_rules():
    tree = as_json(verdict(having(span(0.912345678), "candidate", "roc_auc"), champion="c0"))
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree
    assert [rule["name"] for rule in tree["rules"]] == [
        "evidence",
        "floor.roc_auc",
        "ceiling.calibration_error",
        "beats.prior",
        "beats.no_change",
        "beats.one_column",
        "beats.champion",
        "leak.champion",
        "leak.column",
        "leak.score",
        "leak.overlap",
        "leak.split",
        "leak.importance",
        "calibration",
    ]
    assert tree["rules"][1] == {
        "name": "floor.roc_auc",
        "value": 0.892346,
        "bound": 0.6,
        "outcome": "passed",
        "says": "roc_auc is 0.9123 (0.8923 to 0.9323); its low end must be at least 0.6.",
    }
    assert all(rule["says"].endswith(".") for rule in tree["rules"])


def test_deciding_changes_nothing_in_the_metrics():
    metrics = good()
    before = copy.deepcopy(metrics)
    verdict(metrics, champion="c0")
    assert metrics == before


@given(st.floats(-0.3, 0.3), st.floats(0, 0.2), st.floats(0, 0.2), st.floats(-0.1, 0.1))
def test_a_larger_gain_never_has_a_worse_verdict(gain, more, half, min_gain):
    answers = []
    for value in (gain, gain + more):
        metrics = having({"average_precision": span(value, half)}, "difference")
        metrics["over"]["no_change"] = {"average_precision": span(value, half)}
        metrics["candidate"]["roc_auc"] = span(0.6 + value, half)
        lenient = {"max_roc_auc": 1.0, "min_gain": min_gain}
        metrics["candidate"]["roc_auc"]["value"] = min(0.99, 0.6 + value)
        answers.append(ORDER.index(verdict(metrics, champion="c0", **lenient).answer))
    assert answers[0] <= answers[1]


def test_the_yaml_says_what_runs_by_default():
    path = Path(__file__).parents[3] / "conf" / "gate" / "default.yaml"
    assert build("gate", load_yaml(path)) == GateSettings()
