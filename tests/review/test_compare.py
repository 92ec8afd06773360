import polars as pl
import pytest

from cll.review.compare import ABSENT, ProjectState, ValueChange, compare
from tests.build.history import DIRECTIONS, GATE, figures


def state(gate=GATE, draws=None, directions=DIRECTIONS, **values):
    resolved = {"gate": gate, "directions": directions}
    return ProjectState(metrics=figures(**values), resolved=resolved, draws=draws)


def outcomes(comparison):
    return {metric.name: metric.outcome for metric in comparison.metrics}


def draws(value):
    names = ("average_precision", "roc_auc", "calibration_error")
    noise = pl.Series([n / 1000 for n in range(-50, 50)])
    told = figures(roc_auc=value)["candidate"]
    return pl.DataFrame({name: noise + told[name]["value"] for name in names})


def test_without_metrics_in_one_state_every_outcome_is_undecided():
    comparison = compare(ProjectState(), state())
    assert comparison.has_regressed is None
    assert set(outcomes(comparison).values()) == {"can't be told"}
    assert (
        comparison.pairing == "Only one of the two states has metrics, so there are no differences."
    )


def test_without_a_gate_no_metric_is_watched():
    assert compare(state(gate={}), state(gate={}, roc_auc=0.1)).has_regressed is None


def test_a_metric_without_an_interval_is_undecided():
    new = state(roc_auc=0.7)
    del new.metrics["candidate"]["roc_auc"]["low"]
    comparison = compare(state(), new)
    assert comparison.has_regressed is None
    assert outcomes(comparison)["roc_auc"] == "can't be told"


def test_equal_metrics_without_intervals_are_no_regression():
    both = state()
    for figure in both.metrics["candidate"].values():
        del figure["low"]
    assert compare(both, both).has_regressed is False


@pytest.mark.parametrize(
    ("change", "regressed"),
    [
        ({"roc_auc": 0.7}, True),
        ({"roc_auc": 0.79}, False),
        ({"roc_auc": 0.9}, False),
        ({"average_precision": 0.4}, True),
        ({"calibration_error": 0.15}, True),
        ({"calibration_error": 0.001}, False),
    ],
)
def test_a_metric_of_the_gate_that_got_worse_by_more_than_noise_is_a_regression(change, regressed):
    assert compare(state(), state(**change)).has_regressed is regressed


def test_a_metric_that_the_gate_does_not_read_is_no_regression():
    comparison = compare(state(recall=0.9), state(recall=0.1))
    assert outcomes(comparison)["recall"] == "worse"
    assert comparison.has_regressed is False


def test_a_worse_metric_is_a_regression_even_if_others_are_undecided():
    assert compare(ProjectState(state().metrics), state(roc_auc=0.1)).has_regressed is True


@pytest.mark.parametrize("bound", [{"roc_auc": None}, {}])
def test_a_metric_whose_floor_was_removed_is_still_watched(bound):
    after = state(gate={**GATE, "floors": bound}, roc_auc=0.5)
    assert compare(state(), after).has_regressed is True


@pytest.mark.parametrize("name", ["cost", "roc_auc"])
@pytest.mark.parametrize(("better", "word"), [("lower", "worse"), ("higher", "better")])
def test_the_metric_alone_states_whether_a_rise_is_better(name, better, word):
    gate = {"metric": name, "floors": {name: 1.0}, "ceilings": {name: 9.0}}
    directions = {name: better}
    before = state(gate, directions=directions, **{name: 5.0})
    after = state(gate, directions=directions, **{name: 9.0})
    assert outcomes(compare(before, after))[name] == word


def test_the_later_side_states_the_direction_where_the_sides_differ():
    before = state(directions={"recall": "higher"}, recall=0.1)
    after = state(directions={"recall": "lower"}, recall=0.9)
    assert outcomes(compare(before, after))["recall"] == "worse"


def test_a_side_composed_before_directions_were_written_takes_those_of_the_other():
    comparison = compare(state(directions={}), state(calibration_error=0.15))
    assert outcomes(comparison)["calibration_error"] == "worse"


def test_a_move_beyond_noise_in_an_unknown_direction_can_not_be_told():
    comparison = compare(state(directions={}), state(directions={}, roc_auc=0.7))
    assert outcomes(comparison)["roc_auc"] == "can't be told"
    assert comparison.has_regressed is None


def test_the_same_rows_in_the_same_draws_are_paired():
    before, after = state(draws=draws(0.80)), state(draws=draws(0.79), roc_auc=0.79)
    comparison = compare(before, after)
    assert comparison.pairing.endswith("differences are paired.")
    assert comparison.has_regressed is True  # within both intervals, and yet no noise


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (
            state(draws=draws(0.8), holdout_id="other"),
            "The held-out rows or their bootstrap draws differ (",
        ),
        (
            state(draws=draws(0.8), holdout_id=""),
            "One of the two states does not name its held-out rows",
        ),
        (state(), "One of the two states has no reports/draws.csv"),
    ],
)
def test_differences_that_are_not_paired_come_with_the_reason(before, reason):
    comparison = compare(before, state(draws=draws(0.79), roc_auc=0.79))
    assert comparison.pairing.startswith(reason)
    assert comparison.has_regressed is False


def test_changed_settings_have_dotted_names():
    before = ProjectState(
        resolved={"estimator": {"C": 1, "l1": None}}, world={"as_of": "2026-01-01"}
    )
    after = ProjectState(
        resolved={"estimator": {"C": 1.0, "names": ["a"]}}, world={"as_of": "2026-01-02"}
    )
    assert compare(before, after).params == (
        ValueChange("estimator.C", 1, 1.0),
        ValueChange("estimator.names", ABSENT, ["a"]),
        ValueChange("world.as_of", "2026-01-01", "2026-01-02"),
        ValueChange("estimator.l1", None, ABSENT),
    )


def test_counts_of_rows_and_records_are_compared_but_not_the_holdout_id():
    before = ProjectState({"data": {"rows": 9, "holdout_id": "a"}}, counts={"in": 5, "kept": 5})
    after = ProjectState({"data": {"rows": 8, "holdout_id": "b"}}, counts={"in": 6, "kept": 5})
    assert compare(before, after).data == (ValueChange("rows", 9, 8), ValueChange("in", 5, 6))


def test_other_figures_and_rules_of_the_gate_are_compared():
    before = ProjectState(
        {"events": {"caught": 3}}, verdict={"rules": [{"name": "a", "outcome": "failed"}]}
    )
    after = ProjectState(
        {"events": {"caught": 4}}, verdict={"rules": [{"name": "a", "outcome": "passed"}]}
    )
    comparison = compare(before, after)
    assert comparison.others == (ValueChange("events.caught", 3, 4),)
    assert comparison.rules == (ValueChange("a", "failed", "passed"),)
