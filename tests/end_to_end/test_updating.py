"""A champion that is in force, and the stages that go on from it."""

import json

import pytest

from cll.config import project
from cll.pipeline import stages
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.errors import SecurityRefusal, Unavailable
from cll.verify import reproduce
from tests.build import small

TREES = ["estimator=lightgbm", "estimator.max_rounds=15", "estimator.patience=5"]
WORDS = {"logistic": small.FLEET, "lightgbm": [*small.FLEET[:-1], *TREES]}
EARLY, LATE = "2026-01-04T00:00:00Z", "2026-01-05T00:00:00Z"


@pytest.fixture(scope="module", params=WORDS)
def crowned(request, tmp_path_factory):
    """Return a project of the fleet with a champion of a day before."""
    ws = small.project(tmp_path_factory.mktemp("crowned") / "project", as_of=EARLY)
    small.reproduce(ws, WORDS[request.param], last="train")
    model_id = disk.read_json(ws.candidate / "model.json")["model_id"]
    small.shutil.copytree(ws.candidate, ws.root / "registry" / "models" / model_id)
    world(ws, model_id)
    small.reproduce(ws, WORDS[request.param], last="featurize")
    return ws, WORDS[request.param], model_id


def world(ws, champion):
    (ws.root / "world.yaml").write_text(f'as_of: "{LATE}"\nchampion: "{champion}"\n')


@pytest.fixture
def copy(crowned, tmp_path):
    return small.copied(crowned[0], tmp_path / "project"), *crowned[1:]


def judged(ws, words, update):
    """Train, evaluate and judge with an update."""
    tree = small.compose_into(ws, [*words, f"update={update}"])
    now = project.read_world(ws.root / "world.yaml")
    for name in ("train", "evaluate", "gate"):
        stages.STAGES[name](ws, tree, now)
    return disk.read_json(ws.candidate / "model.json")


@pytest.mark.parametrize("update", ["warm", "online", "keep", "race"])
def test_a_damaged_champion_is_refused_before_anything_goes_on_from_it(copy, update):
    ws, words, champion = copy
    path = ws.root / "registry" / "models" / champion / "model.json"
    path.write_bytes(path.read_bytes().replace(b'"threshold"', b'"Threshold"', 1))
    with pytest.raises(SecurityRefusal, match=r"model\.json: sha256 is .*SHA256SUMS has"):
        judged(ws, words, update)


def test_a_champion_that_is_not_there_is_told_where_it_is_needed(copy):
    ws, words, _ = copy
    world(ws, "0123456789abcdef")
    with pytest.raises(Unavailable, match=r"models/0123456789abcdef: no model is there; run"):
        judged(ws, words, "warm")
    tree = small.compose_into(ws, words)
    stages.train(ws, tree, project.read_world(ws.root / "world.yaml"))


def test_a_champion_that_the_ledger_does_not_vouch_for_is_not_gone_on_from(copy):
    ws, words, _ = copy
    (ws.root / "registry" / "ledger.jsonl").write_text("")
    with pytest.raises(SecurityRefusal, match=r"ledger\.jsonl: empty, or its last line is"):
        judged(ws, words, "online")


def test_what_is_kept_is_the_champion_and_the_gate_says_so(copy):
    ws, words, champion = copy
    assert judged(ws, words, "keep")["model_id"] == champion
    released = ws.root / "registry" / "models" / champion
    for path in released.iterdir():
        assert (ws.candidate / path.name).read_bytes() == path.read_bytes()
    rules = disk.read_json(ws.reports / "verdict.json")["rules"]
    (noted,) = [rule for rule in rules if rule["name"] == "beats.champion"]
    assert noted["says"].startswith("The candidate is the champion itself")


@pytest.mark.parametrize("update", ["warm", "online", "race"])
def test_what_goes_on_is_judged_on_rows_that_neither_has_seen(copy, update):
    ws, words, champion = copy
    model = judged(ws, words, update)
    metrics = disk.read_json(ws.results / "metrics.json")
    assert metrics["leakage"]["champion_rows"] == 0
    assert model["lineage"]["train_until"] < metrics["data"]["holdout_from"]
    base = model["lineage"]["base"]
    assert base == champion if update != "race" else base in {champion, "none"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crowned", "update"),
    [("lightgbm", "race"), ("logistic", "online")],  # a race trains in full, warm and online
    indirect=["crowned"],
)
def test_an_empty_folder_gives_the_same_bytes_with_one_and_two_threads(copy, update, capsys):
    ws, words, _ = copy
    small.reproduce(ws, [*words, f"update={update}"])
    assert reproduce.rerun(ws.root) == 0, capsys.readouterr().out


def test_a_run_apart_goes_on_from_the_champion_too(copy, tmp_path):
    ws, words, champion = copy
    own = Workspace(ws.root, tmp_path / "own", ws.signals, ws.features)
    tree = small.compose_into(ws, [*words, "update=online"])
    stages.train(own, tree, project.read_world(ws.root / "world.yaml"))
    told = json.loads((own.candidate / "model.json").read_text())
    assert told["lineage"]["base"] == champion
