from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import yaml

from cll.config import components, project
from cll.loop import trigger_input
from cll.model import artifact
from cll.pipeline.dataset import tables
from cll.system import disk
from cll.types.errors import DataRefused, SecurityRefusal
from cll.types.tables import LABELS
from cll.types.times import format_instant, parse_instant
from tests.build import released, small


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return small.fleet(tmp_path_factory)


@pytest.fixture(scope="module")
def known(fleet):
    return tables.load(fleet)


@pytest.fixture(scope="module")
def champion(fleet):
    return artifact.load(fleet.candidate)


@pytest.fixture(scope="module")
def tree(fleet):
    return yaml.safe_load(fleet.resolved.read_text())


@pytest.fixture(scope="module")
def as_of(fleet):
    return world(fleet).as_of


def world(ws):
    return project.read_world(ws.root / "world.yaml")


def test_a_champion_that_reads_what_these_features_lack_is_refused(known, tree, as_of, champion):
    less = replace(known, features=known.features.drop(champion.names[0]))
    with pytest.raises(DataRefused, match=f"reads {champion.names[0]}, which these features lack"):
        _ = trigger_input.situation(less, tree, as_of, champion, None).rows


@pytest.mark.slow
def test_a_champion_that_was_never_released_is_refused(tmp_path_factory, tmp_path):
    ws = released.copied(released.once(tmp_path_factory), tmp_path / "project")
    claimed = replace(world(ws), champion="0123456789abcdef")
    with pytest.raises(SecurityRefusal, match="champion=0123456789abcdef was never released"):
        trigger_input.now(ws, yaml.safe_load(ws.resolved.read_text()), claimed)


def test_where_no_model_is_in_force_there_is_no_score(known, tree, as_of):
    found = trigger_input.situation(known, tree, as_of, None, as_of)
    assert (found.champion, found.champion_trained_until, found.threshold) == ("none", None, None)
    assert found.trained == as_of
    assert found.rows["p"].is_null().all()
    assert found.rows.height == known.signals.height


def test_rows_come_by_time_with_the_champions_scores_beside_them(known, tree, as_of, champion):
    found = trigger_input.situation(known, tree, as_of, champion, None)
    assert found.rows.select("time", "entity").equals(
        found.rows.select("time", "entity").sort("time", "entity")
    )
    assert found.rows.columns == [*LABELS, *known.columns.numeric, "p"]
    X = known.features.select(champion.names).to_numpy()
    by_key = known.signals.select("entity", "time").with_columns(
        wanted=pl.Series(champion.probability(X))
    )
    beside = found.rows.join(by_key, on=["entity", "time"])
    assert beside["p"].equals(beside["wanted"])
    assert found.threshold == champion.threshold
    assert found.champion == champion.model_id


def test_scores_that_are_at_hand_are_not_made_again(known, tree, as_of, champion):
    scores = np.arange(known.signals.height, dtype=np.float64)
    given = trigger_input.situation(known, tree, as_of, champion, None, lambda: scores)
    order = known.signals.select("entity", "time").with_columns(p=scores).sort("time", "entity")
    assert given.rows["p"].equals(order["p"])


def test_what_becomes_known_later_is_in_no_row_and_no_label(known, tree, as_of, champion):
    then = as_of - timedelta(days=1)
    first = known.signals.row(0, named=True)
    late = pl.int_range(pl.len()) == 0
    signals = known.signals.with_columns(
        known_at=pl.when(late).then(pl.lit(as_of)).otherwise("known_at")
    )
    told = trigger_input.situation(replace(known, signals=signals), tree, then, champion, None).rows
    of_then = signals.filter(pl.col("known_at") <= then)
    assert told.select("time", "entity").equals(
        of_then.select("time", "entity").sort("time", "entity")
    )
    assert first["time"] < then
    assert told.filter(time=first["time"], entity=first["entity"]).is_empty()
    assert told.filter(pl.col("label").is_not_null())["known_at"].max() <= then


def test_the_champion_learnt_until_its_last_label_was_known(known, tree, as_of, champion):
    found = trigger_input.situation(known, tree, as_of, champion, None)
    last = parse_instant(champion.meta["lineage"]["train_until"])
    embargo = components.build("label", tree["label"]).embargo
    assert found.champion_trained_until == last + embargo - timedelta(microseconds=1)


@pytest.mark.slow
def test_a_project_tells_its_champion_and_when_it_trained_last(tmp_path_factory, tmp_path):
    ws = released.copied(released.twice(tmp_path_factory), tmp_path / "project")
    tree = yaml.safe_load(ws.resolved.read_text())
    found = trigger_input.now(ws, tree, world(ws))
    assert found.champion == world(ws).champion != "none"
    assert format_instant(found.trained) == disk.read_json(ws.candidate / "model.json")["created"]
    assert found.rows["p"].is_between(0, 1).all()


def test_a_project_that_never_trained_says_so(tmp_path):
    ws = small.project(tmp_path / "project")
    assert trigger_input.trained(ws, world(ws)) is None


CHAMPION = "0123456789abcdef"


@pytest.mark.parametrize(
    ("candidate", "champion", "trained"),
    [
        ("2026-01-03", "2026-01-01", "2026-01-03"),
        ("2026-01-05", "2026-01-01", "2026-01-05"),  # at as_of itself
        ("2026-01-06", "2026-01-01", "2026-01-01"),
        ("2026-01-06", "2026-01-06", None),
        ("2026-01-06", None, None),
        (None, "2026-01-01", None),
    ],
)
def test_a_training_later_than_as_of_does_not_count(tmp_path, candidate, champion, trained):
    ws = small.project(tmp_path / "project", as_of="2026-01-05T00:00:00Z")
    for folder, day in ((ws.candidate, candidate), (ws.released(CHAMPION), champion)):
        if day is not None:
            disk.write_json(folder / "model.json", {"created": f"{day}T00:00:00Z"})
    told = replace(world(ws), champion=CHAMPION if champion else "none")
    found = trigger_input.trained(ws, told)
    assert (found and format_instant(found)) == (trained and f"{trained}T00:00:00Z")
