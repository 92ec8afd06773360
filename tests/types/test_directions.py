from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.config import components
from cll.pipeline.compose import compose
from cll.pipeline.evaluate.statistics.scored_holdout import Holdout
from cll.pipeline.gate import gate
from cll.types.directions import direction_of, directions_in, directions_of, higher_is_better
from cll.types.errors import ConfigError
from cll.verify import gate_trial

CONF = Path(__file__).parents[2] / "conf"
METRICS = {
    name: metric
    for path in sorted((CONF / "metric").glob("*.yaml"))
    for name, metric in components.build("metric", components.load_yaml(path)).items()
}
BLOCKS, ROWS = 8, 6

# Of each row: its outcome, the error of the better model, and how much further off the other one is.
HISTORY = st.lists(
    st.tuples(st.booleans(), st.integers(0, 10), st.integers(0, 9)),
    min_size=BLOCKS * ROWS,
    max_size=BLOCKS * ROWS,
)


def two_models(name, rows):
    """Return outcomes, and the scores of a model that is closer to each of them, and of another."""
    y, error, further = (np.array(column, float) for column in zip(*rows, strict=True))
    better, worse = error / 20, (error + further) / 20
    if name == "calibration_error":  # gaps in a bin cancel out, so there every row is off as far
        better, worse = np.full(len(y), error[0] / 20), np.full(len(y), worse[0])
    return y, np.abs(y - better), np.abs(y - worse)


def promotes(name, y, candidate, champion):
    """Return whether the gate sees a gain of one model's scores over another's."""
    court = Holdout(
        held=pl.DataFrame({"y": y}),
        y=y,
        unchanged=np.roll(y, 1),
        block=np.repeat(np.arange(BLOCKS), ROWS),
        metrics={name: METRICS[name]},
        replicates=40,
        draws_seed=0,
    )
    difference = court.figures(candidate, candidate >= 0.5) - court.figures(
        champion, champion >= 0.5
    )
    return gate_trial.is_gain(
        difference, gate.GateSettings(metric=name), directions_of(court.metrics)
    )


@pytest.mark.parametrize("name", METRICS)
@given(rows=HISTORY)
@settings(max_examples=30, deadline=None)
def test_the_gate_never_promotes_a_model_that_is_further_off_in_each_row(name, rows):
    y, better, worse = two_models(name, rows)
    assert not promotes(name, y, candidate=worse, champion=better)


@pytest.mark.parametrize("name", METRICS)
def test_the_gate_promotes_a_model_that_is_surely_closer_in_each_row(name):
    y = np.resize([1.0, 0.0, 0.0], BLOCKS * ROWS)
    flipped = np.where(np.arange(len(y)) % ROWS < 2, 0.9, 0.4)  # a miss and a false alarm a block
    assert promotes(name, y, candidate=np.abs(y - 0.1), champion=np.abs(y - flipped))


def test_a_metric_that_states_no_direction_is_refused_with_the_way_out():
    def cost(rows, weight):
        return float(weight.sum() - len(rows))

    message = (
        r"metric\.mine: .*cost does not state which value is better; write @higher_is_better or"
        r" @lower_is_better above it \(from cll\.types\.directions\)\."
    )
    with pytest.raises(ConfigError, match=message):
        direction_of("mine", cost)
    assert direction_of("mine", higher_is_better(cost)) == "higher"


def test_compose_refuses_a_chosen_metric_that_states_no_direction(monkeypatch):
    monkeypatch.delattr(METRICS["recall"], "better")
    with pytest.raises(ConfigError, match=r"metric\.recall: .* does not state which value is"):
        compose.resolve(CONF, {}, [])


def test_compose_writes_the_direction_of_each_chosen_metric():
    tree = compose.resolve(CONF, {}, [])
    assert set(directions_in(tree)) == set(tree["metric"])
    lower = {name for name, better in directions_in(tree).items() if better == "lower"}
    assert lower == {"brier", "log_loss", "calibration_error"}


def test_a_tree_of_an_earlier_version_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"directions is missing.*run `dvc repro`"):
        directions_in({})


@pytest.mark.parametrize(
    ("settings_", "key"),
    [
        ({"better": "higher"}, r"gate\.better=higher"),
        ({"slices": {"better": "lower"}}, r"gate\.slices\.better=lower"),
    ],
)
def test_a_direction_that_a_person_still_states_is_refused_with_the_way_out(settings_, key):
    params = {"set": {"gate": {"default": settings_}}}
    with pytest.raises(ConfigError, match=rf"{key}: each metric states itself .*; delete this key"):
        compose.resolve(CONF, params)


def test_a_direction_on_the_command_line_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"gate\.better=lower: each metric states itself"):
        compose.resolve(CONF, {}, ["++gate.better=lower"])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("++gate.floors.brier=0.1", r"gate\.floors\.brier=0\.1: a lower brier is better; .*ceil"),
        ("++gate.ceilings.f1=0.9", r"gate\.ceilings\.f1=0\.9: a higher f1 is better; .*floors"),
    ],
)
def test_a_bound_that_contradicts_the_metric_is_refused(override, says):
    with pytest.raises(ConfigError, match=says):
        compose.resolve(CONF, {}, [override])


def test_slices_of_a_metric_that_is_not_chosen_are_refused():
    words = ["gate.slices.metric=nosuch", "evaluate.slice_paired=[nosuch]"]
    with pytest.raises(ConfigError, match=r"gate\.slices\.metric=nosuch: not a chosen metric"):
        compose.resolve(CONF, {}, words)
