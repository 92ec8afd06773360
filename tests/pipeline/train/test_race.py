from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cll.model import artifact
from cll.pipeline.train import candidate
from cll.types.errors import ConfigError, DataRefused
from tests.build import teaching
from tests.build.teaching import LOGISTIC, made, notes

RACE = ("update=race", *LOGISTIC)


@pytest.fixture(scope="module")
def champion():
    return made(teaching.rows(12, drift=0.5), *LOGISTIC)[1]


@pytest.fixture(scope="module")
def data():
    return teaching.rows(24, drift=0.5)


def race(model):
    return notes(model)["race"]


def test_a_contender_with_a_key_that_it_has_not_is_refused_by_its_place():
    with pytest.raises(
        ConfigError, match=r"^update\.settings\.warm\.newonly: unknown key; did you"
    ):
        teaching.tree("update=race", "+update.settings.warm.newonly=true")


def test_a_contender_that_can_not_run_is_left_out_and_told(data, champion):
    words = (*RACE, "features.lags=[1]")
    _, model = made(data, *words, champion=champion)
    told = race(model)["contenders"]
    assert notes(model)["update"] == "full"
    assert "another features config; choose update=full once." in told["warm"]["left_out"]
    assert "value" in told["full"]


def test_where_nobody_can_run_the_first_ones_reason_is_told(data, champion):
    words = (*RACE, "features.lags=[1]", "update.contenders=[warm,online]")
    with pytest.raises(
        DataRefused, match=r"^update=race: no contender could run: The champion was trained"
    ):
        made(data, *words, champion=champion)


def test_the_winner_is_made_on_all_rows_that_may_teach(data, champion):
    _, model = made(data, *RACE, champion=champion)
    winner = notes(model)["update"]
    _, alone = made(data, f"update={winner}", *LOGISTIC, champion=champion)
    assert model.model.columns == alone.model.columns
    assert model.threshold == alone.threshold
    found = race(model)
    assert found["says"].startswith(f"Made by {winner}: it had the best figure.")
    assert set(found["contenders"]) == {"full", "warm", "online"}
    visits = {name: entry["row_visits"] for name, entry in found["contenders"].items()}
    assert visits["online"] < visits["warm"] < visits["full"]


def test_what_judges_is_newer_than_what_taught_and_older_than_the_holdout(data, champion):
    _, model = made(data, *RACE, champion=champion)
    found = race(model)
    began = champion.meta["lineage"]["train_until"]
    ended = model.meta["lineage"]["train_until"]
    assert began < found["judged_from"] < ended
    assert 0 < found["positives"] < found["rows"]


def test_the_holdout_chooses_nothing(data, champion):
    """Other labels in the holdout, and the race is the same."""
    _, model = made(data, *RACE, champion=champion)
    label = data.rows["label"].to_numpy().copy()
    label[data.split.holdout] = 1 - label[data.split.holdout]
    turned = replace(data, rows=data.rows.with_columns(label=pl.Series(label, dtype=pl.Int8)))
    assert race(made(turned, *RACE, champion=champion)[1]) == race(model)


def test_a_champion_that_holds_wins_where_it_may():
    steady = teaching.rows(24)
    before = made(teaching.rows(12), *LOGISTIC)[1]
    words = (*RACE, "update.contenders=[full,keep]")
    words += ("update.prefer=cheapest",)
    files, model = made(steady, *words, champion=before)
    assert model.model_id == before.model_id
    assert artifact.repack(before) == files


def test_without_a_champion_nobody_goes_on(data):
    _, model = made(data, *RACE)
    assert notes(model)["update"] == "full"
    assert race(model) == {
        "says": "Nothing could judge between updates, so the candidate was made by full."
    }


def test_without_a_champion_those_who_train_afresh_race(data):
    words = (*RACE, "update.contenders=[full,warm,window]", "update.settings.window.span=2d")
    _, model = made(data, *words)
    assert set(race(model)["contenders"]) == {"full", "window"}


def test_where_nothing_is_newer_than_the_champion_there_is_no_race(champion):
    _, model = made(teaching.rows(11), *RACE, champion=champion)
    assert race(model)["says"].startswith("Nothing could judge between updates")
    assert notes(model)["update"] == "full"


def test_a_stretch_without_failures_judges_nobody(champion):
    _, model = made(teaching.rows(20, quiet=range(12, 16)), *RACE, champion=champion)
    assert race(model)["says"].startswith("Nothing could judge between updates")


def test_a_metric_where_lower_is_better_is_turned(data, champion):
    words = (*RACE, "gate.metric=brier", "evaluate.paired=[brier]")
    words += ("evaluate.baseline_metrics=[brier]",)
    _, model = made(data, *words, champion=champion)
    told = race(model)["contenders"]
    best = min(told, key=lambda name: told[name]["value"])
    assert "behind" not in told[best]
    assert all(entry["behind"]["value"] >= 0 for name, entry in told.items() if name != best)
    assert np.isfinite([entry["value"] for entry in told.values()]).all()


def test_only_what_goes_on_asks_for_the_champion():
    reads = {
        name: candidate.reads_champion(teaching.tree(f"update={name}"))
        for name in ("full", "window", "warm", "online", "keep", "race")
    }
    assert reads == {"full": False, "window": False} | dict.fromkeys(
        ("warm", "online", "keep", "race"), True
    )
