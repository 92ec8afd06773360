import shutil

import pytest

from cll.config.project import load_tree, load_world
from cll.loop import world
from cll.model import ledger_entries
from cll.pipeline import stages
from cll.release import ledger, models
from cll.system import disk
from cll.types.errors import SecurityRefusal
from tests.build import released

pytestmark = pytest.mark.slow


@pytest.fixture
def ws(tmp_path_factory, tmp_path):
    return released.copied(released.twice(tmp_path_factory), tmp_path / "project")


def evaluate(ws, champion):
    world.put(ws.root / "world.yaml", "champion", champion)
    stages.evaluate(ws, load_tree(ws), load_world(ws))


def test_a_released_champion_is_evaluated(ws):
    evaluate(ws, ledger.read(ws.root).champion)


def test_an_unreleased_champion_is_refused(ws):
    first, second = ledger.read(ws.root).entries
    path = ws.root / ledger_entries.PATH
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    with pytest.raises(SecurityRefusal, match=f"champion={second.model_id} was never released"):
        evaluate(ws, second.model_id)
    said = released.cll(ws.root, "predict", "metrics.json", "--out", "a.csv", "--model", "champion")
    assert said.code == 4
    assert f"champion={second.model_id} was never released" in said.err
    evaluate(ws, first.model_id)


def test_before_the_first_release_any_model_may_be_champion(ws):
    champion = ledger.read(ws.root).champion
    (ws.root / ledger_entries.PATH).unlink()
    evaluate(ws, champion)


def test_a_champion_with_another_models_files_is_refused(ws):
    first, second = ledger.read(ws.root).entries
    shutil.rmtree(models.folder(ws.root, second.model_id))
    shutil.copytree(models.folder(ws.root, first.model_id), models.folder(ws.root, second.model_id))
    with pytest.raises(SecurityRefusal, match=r"not the files that v1\.1\.0 was released with"):
        evaluate(ws, second.model_id)


def test_champion_and_candidate_are_scored_on_rows_that_trained_neither(ws):
    found = disk.read_json(ws.root / "metrics.json")
    assert found["leakage"]["champion_rows"] == 0
    assert found["leakage"]["champion_saw_until"] < found["data"]["holdout_from"]
    rules = disk.read_json(ws.reports / "verdict.json")["rules"]
    (rule,) = [entry for entry in rules if entry["name"] == "leak.champion"]
    assert (rule["value"], rule["bound"], rule["outcome"]) == (0.0, 0.0, "passed")


def test_a_champion_trained_on_holdout_rows_leaves_the_gate_undecided(ws):
    tree = {**load_tree(ws)}
    tree["split"] = {**tree["split"], "holdout": 0.5}
    world.put(ws.root / "world.yaml", "champion", ledger.read(ws.root).entries[0].model_id)
    for stage in ("train", "evaluate", "gate"):
        stages.STAGES[stage](ws, tree, load_world(ws))
    verdict = disk.read_json(ws.reports / "verdict.json")
    assert verdict["answer"] == "not enough evidence"
    (rule,) = [entry for entry in verdict["rules"] if entry["name"] == "leak.champion"]
    assert rule["value"] == 250
