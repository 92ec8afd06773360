import polars as pl
import pytest

from cll.review.compare import ABSENT, Change, Side, compare
from tests.build.history import DIRECTIONS, GATE, figures


def side(gate=GATE, draws=None, directions=DIRECTIONS, **values):
    resolved = {"gate": gate, "directions": directions}
    return Side(metrics=figures(**values), resolved=resolved, draws=draws)


def says(comparison):
    return {one.name: one.says for one in comparison.metrics}


def draws(value):
    names = ("average_precision", "roc_auc", "calibration_error")
    noise = pl.Series([n / 1000 for n in range(-50, 50)])
    told = figures(roc_auc=value)["candidate"]
    return pl.DataFrame({name: noise + told[name]["value"] for name in names})


def test_without_figures_on_one_side_nothing_can_be_told():
    found = compare(Side(), side())
    assert found.has_regressed is None
    assert set(says(found).values()) == {"can't be told"}
    assert found.pairing == "Only one side has figures, so there are no differences."


def test_without_a_gate_no_metric_is_watched():
    assert compare(side(gate={}), side(gate={}, roc_auc=0.1)).has_regressed is None


def test_without_intervals_it_can_not_be_told():
    new = side(roc_auc=0.7)
    del new.metrics["candidate"]["roc_auc"]["low"]
    found = compare(side(), new)
    assert found.has_regressed is None
    assert says(found)["roc_auc"] == "can't be told"


def test_figures_without_intervals_that_are_the_same_are_no_worse():
    both = side()
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
    assert compare(side(), side(**change)).has_regressed is regressed


def test_a_metric_that_the_gate_does_not_look_at_is_none():
    found = compare(side(recall=0.9), side(recall=0.1))
    assert says(found)["recall"] == "worse"
    assert found.has_regressed is False


def test_a_worse_metric_counts_whatever_else_can_not_be_told():
    assert compare(Side(side().metrics), side(roc_auc=0.1)).has_regressed is True


@pytest.mark.parametrize("bound", [{"roc_auc": None}, {}])
def test_lifting_a_floor_hides_nothing_that_it_held(bound):
    after = side(gate={**GATE, "floors": bound}, roc_auc=0.5)
    assert compare(side(), after).has_regressed is True


@pytest.mark.parametrize("name", ["cost", "roc_auc"])
@pytest.mark.parametrize(("better", "word"), [("lower", "worse"), ("higher", "better")])
def test_the_metric_alone_states_whether_a_rise_is_better(name, better, word):
    gate = {"metric": name, "floors": {name: 1.0}, "ceilings": {name: 9.0}}
    directions = {name: better}
    before = side(gate, directions=directions, **{name: 5.0})
    after = side(gate, directions=directions, **{name: 9.0})
    assert says(compare(before, after))[name] == word


def test_the_later_side_states_the_direction_where_the_sides_differ():
    before = side(directions={"recall": "higher"}, recall=0.1)
    after = side(directions={"recall": "lower"}, recall=0.9)
    assert says(compare(before, after))["recall"] == "worse"


def test_a_side_composed_before_directions_were_written_takes_those_of_the_other():
    found = compare(side(directions={}), side(calibration_error=0.15))
    assert says(found)["calibration_error"] == "worse"


def test_a_move_beyond_noise_in_an_unknown_direction_can_not_be_told():
    found = compare(side(directions={}), side(directions={}, roc_auc=0.7))
    assert says(found)["roc_auc"] == "can't be told"
    assert found.has_regressed is None


def test_the_same_rows_in_the_same_draws_are_paired():
    before, after = side(draws=draws(0.80)), side(draws=draws(0.79), roc_auc=0.79)
    found = compare(before, after)
    assert found.pairing.endswith("differences are paired.")
    assert found.has_regressed is True  # within both intervals, and yet no noise


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (side(draws=draws(0.8), holdout_id="other"), "The held-out rows, or how they are drawn, "),
        (side(draws=draws(0.8), holdout_id=""), "One side does not say which rows"),
        (side(), "One side has no reports/draws.csv"),
    ],
)
def test_what_is_not_paired_is_told_with_the_reason(before, reason):
    found = compare(before, side(draws=draws(0.79), roc_auc=0.79))
    assert found.pairing.startswith(reason)
    assert found.has_regressed is False


def test_settings_are_told_by_dotted_keys():
    before = Side(resolved={"estimator": {"C": 1, "l1": None}}, world={"as_of": "2026-01-01"})
    after = Side(resolved={"estimator": {"C": 1.0, "names": ["a"]}}, world={"as_of": "2026-01-02"})
    assert compare(before, after).params == (
        Change("estimator.C", 1, 1.0),
        Change("estimator.names", ABSENT, ["a"]),
        Change("world.as_of", "2026-01-01", "2026-01-02"),
        Change("estimator.l1", None, ABSENT),
    )


def test_counts_of_rows_and_records_are_told_and_the_id_of_the_holdout_is_not():
    before = Side({"data": {"rows": 9, "holdout_id": "a"}}, counts={"in": 5, "kept": 5})
    after = Side({"data": {"rows": 8, "holdout_id": "b"}}, counts={"in": 6, "kept": 5})
    assert compare(before, after).data == (Change("rows", 9, 8), Change("in", 5, 6))


def test_other_figures_and_rules_of_the_gate_are_told():
    before = Side(
        {"events": {"caught": 3}}, verdict={"rules": [{"name": "a", "outcome": "failed"}]}
    )
    after = Side({"events": {"caught": 4}}, verdict={"rules": [{"name": "a", "outcome": "passed"}]})
    found = compare(before, after)
    assert found.others == (Change("events.caught", 3, 4),)
    assert found.rules == (Change("a", "failed", "passed"),)
