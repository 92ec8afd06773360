import json
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from cll.components.estimator.logistic import Logistic
from cll.components.update.warm import Warm
from cll.model import artifact
from cll.pipeline.dataset import labelled
from cll.pipeline.train import candidate
from cll.pipeline.train import update as train_update
from cll.pipeline.train.fit import TrainSettings
from cll.types.errors import ConfigError, DataRefused
from tests.build import teaching
from tests.build.teaching import LOGISTIC, QUICK, made, notes

OLD = 12
WAYS = {"lightgbm": QUICK, "logistic": LOGISTIC}


@pytest.fixture(scope="module")
def data():
    return teaching.rows(20, drift=0.5)


@pytest.fixture(scope="module")
def champions():
    old = teaching.rows(OLD, drift=0.5)
    return {name: made(old, *words)[1] for name, words in WAYS.items()}


def lineage(model):
    return json.loads(model.files[artifact.MODEL])["lineage"]


def test_the_rows_that_are_told_are_those_that_taught(data):
    files, model = made(data, "update=window", "update.span=3d", *LOGISTIC)
    told = lineage(model)
    assert told["rows"] < data.split.train.sum()
    assert candidate.describe(files) == (
        f"{told['rows']:,} rows, {told['positives']:,} positive, 3 features;"
        " update=window trained afresh."
    )


@pytest.mark.parametrize("update", ["warm", "online", "keep"])
def test_without_a_champion_the_whole_is_learnt_and_says_so(data, update):
    _, model = made(data, f"update={update}", *LOGISTIC)
    _, full = made(data, *LOGISTIC)
    assert model.model.columns == full.model.columns
    assert lineage(model)["base"] == "none"
    assert notes(model)["update_says"] == (
        f"update={update} had no model in force to go on from, so this was a full training."
    )


@pytest.mark.parametrize("update", ["warm", "online"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"names": ("a", "b", "d")},
            "reads c, which these features lack; choose update=full",
        ),
        (
            {"names": ("a", "c", "b")},
            "reads its features in another order; choose update=full once",
        ),
    ],
)
def test_other_features_are_refused(data, champions, update, change, says):
    other = replace(data, **change)
    with pytest.raises(DataRefused, match=rf"^The champion.*{says}"):
        made(other, f"update={update}", *LOGISTIC, champion=champions["logistic"])


def test_features_that_the_champion_does_not_read_are_refused(data, champions):
    X = np.column_stack([data.X, data.X[:, 0]])
    other = replace(data, X=X, names=(*data.names, "d"))
    with pytest.raises(
        DataRefused, match="These features include d, which the champion does not read; choose"
    ):
        made(other, "update=warm", *LOGISTIC, champion=champions["logistic"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            QUICK,
            r"is of estimator=logistic, and lightgbm can't continue from it; choose update=full",
        ),
        (
            (*LOGISTIC, "label.horizon=1h"),
            "was trained with another label config; choose update=full",
        ),
        (
            (*LOGISTIC, "features.lags=[1]"),
            "was trained with another features config; choose update",
        ),
    ],
)
def test_what_can_not_be_gone_on_from_is_refused(data, champions, words, says):
    with pytest.raises(DataRefused, match=rf"^The champion {says}"):
        made(data, "update=warm", *words, champion=champions["logistic"])


def test_a_champion_that_may_have_met_the_rows_that_judge_is_not_gone_on_from(data, champions):
    held = np.random.default_rng(0).random(len(data.split.train)) < 0.3
    drawn = replace(data, split=replace(data.split, train=~held, holdout=held, boundary=None))
    with pytest.raises(
        DataRefused, match=r"^The champion was trained on rows until 2026-01-.*choose split=time"
    ):
        made(drawn, "update=warm", *LOGISTIC, champion=champions["logistic"])


def test_a_champion_whose_lineage_does_not_tell_its_past_is_refused(data, champions):
    meta = dict(champions["logistic"].meta)
    told = {key: value for key, value in meta["lineage"].items() if key != "train_until"}
    blank = replace(champions["logistic"], meta={**meta, "lineage": told})
    with pytest.raises(DataRefused, match="has no valid train_until"):
        made(data, "update=online", *LOGISTIC, champion=blank)


@pytest.mark.parametrize("update", ["warm", "online", "keep"])
@pytest.mark.parametrize("kind", WAYS)
def test_a_champion_that_nothing_is_newer_than_stays_to_the_byte(champions, update, kind):
    before = champions[kind]
    files, model = made(teaching.rows(OLD - 2), f"update={update}", *WAYS[kind], champion=before)
    assert model.model_id == before.model_id
    assert {k: v for k, v in files.items() if k != artifact.SUMS} == {
        k: v for k, v in before.files.items() if k != artifact.SUMS
    }


def test_keep_returns_the_champion_to_the_byte_however_much_is_new(data):
    files, before = made(teaching.rows(OLD), *QUICK)
    assert made(data, "update=keep", *QUICK, champion=before)[0] == files


@pytest.mark.parametrize("update", ["warm", "online"])
@pytest.mark.parametrize("kind", WAYS)
def test_a_model_that_went_on_tells_all_that_it_learnt(data, champions, update, kind):
    before, until = lineage(champions[kind]), data.rows.filter(pl.Series(data.split.train))
    _, model = made(data, f"update={update}", *WAYS[kind], champion=champions[kind])
    told = lineage(model)
    assert told["base"] == champions[kind].model_id
    assert told["train_from"] == before["train_from"]
    assert labelled.trained_until(told, timedelta(0)) == until["time"].max()
    assert told["base_rows"] == before["rows"]
    newer = until.filter(pl.col("time") > labelled.trained_until(before, timedelta(0)))
    assert told["rows"] == (until.height if update == "warm" else newer.height)
    _, third = made(teaching.rows(24, 0.5), f"update={update}", *WAYS[kind], champion=model)
    assert lineage(third)["base_rows"] == told["rows"] + told["base_rows"]


@pytest.mark.parametrize("update", ["warm", "warm update.new_only=true", "online"])
@pytest.mark.parametrize("kind", WAYS)
def test_nothing_that_the_champion_knew_is_held_out(data, champions, update, kind):
    _, model = made(data, *f"update={update}".split(), *WAYS[kind], champion=champions[kind])
    until = labelled.trained_until(lineage(champions[kind]), data.embargo)
    taught = data.rows.filter(pl.Series(data.split.train))
    new = taught.filter(pl.col("time") > until).height
    assert 0 < notes(model)["out_of_fold"]["rows"] <= new
    if update == "online":  # each day is scored before it teaches
        assert notes(model)["out_of_fold"]["rows"] == new


@pytest.mark.parametrize("update", ["warm", "online"])
def test_with_too_few_newer_failures_calibration_and_threshold_are_the_champions(champions, update):
    before = champions["logistic"]
    _, model = made(teaching.rows(OLD + 1, 0.5), f"update={update}", *LOGISTIC, champion=before)
    assert (model.slope, model.intercept) == (before.slope, before.intercept)
    assert model.threshold == before.threshold
    assert notes(model)["calibrated"] == notes(before)["calibrated"]
    assert notes(model)["calibration"] == "kept"
    assert notes(model)["says"].startswith("Calibration and threshold are those of the model that")
    assert model.model_id != before.model_id


@pytest.mark.parametrize("update", ["warm", "warm update.new_only=true", "online"])
@pytest.mark.parametrize("kind", WAYS)
def test_newer_rows_of_one_outcome_only(champions, update, kind):
    quiet = teaching.rows(20, 0.5, quiet=range(8, 15))
    words = [*f"update={update}".split(), *WAYS[kind]]
    if "new_only" in update:
        with pytest.raises(DataRefused, match="both 0 and 1 are needed"):
            made(quiet, *words, champion=champions[kind])
        return
    _, model = made(quiet, *words, champion=champions[kind])
    assert notes(model)["calibration"] == "kept"
    assert model.threshold == champions[kind].threshold


def test_days_one_by_one_are_the_same_days_at_once(champions):
    """The step of a day follows from the model and the day alone."""
    for kind, words in WAYS.items():
        whole = teaching.rows(20, 0.5)
        _, at_once = made(whole, "update=online", *words, champion=champions[kind])
        model = champions[kind]
        days = sorted(set(whole.rows["time"].dt.date()))
        for last in range(9, 16):
            train = whole.split.train & (whole.rows["time"].dt.date() <= days[last]).to_numpy()
            cut = replace(whole, split=replace(whole.split, train=train))
            _, model = made(cut, "update=online", *words, champion=model)
        assert model.model.parts() == at_once.model.parts()


@dataclass(frozen=True)
class Plain:
    """An estimator that knows no way on."""

    inner: Logistic = field(default_factory=Logistic)

    def __call__(self, train, seed, valid=None, rounds=None):
        return self.inner(train, seed, valid, rounds)


def test_an_estimator_that_can_not_go_on_says_so(data, champions):
    champion = champions["logistic"]
    means = train_update.TrainingInputs(
        data, {}, Plain(), TrainSettings(), {}, 0, champion=champion
    )
    with pytest.raises(
        ConfigError, match=r"test_candidate: can't continue from a model; choose update"
    ):
        train_update.apply(Warm(), data.split.train, means)


def test_what_goes_on_does_better_than_a_champion_that_is_out_of_date(champions):
    late = teaching.rows(24, drift=1.0)
    judged = {}
    for update in ("keep", "warm", "online"):
        _, model = made(late, f"update={update}", *QUICK, champion=champions["lightgbm"])
        held = late.matrix(late.split.holdout)
        p = np.clip(model.probability(held.X), 1e-9, 1 - 1e-9)
        judged[update] = -np.mean(np.where(held.y == 1, np.log(p), np.log(1 - p)))
    assert max(judged["warm"], judged["online"]) < judged["keep"] - 0.01
