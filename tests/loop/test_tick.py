import json
import shutil
import signal
from datetime import UTC, datetime

import pytest

from cll.loop import outcome, tick
from cll.release import ledger
from cll.system import locks
from cll.types.errors import ConfigError
from tests.build import released, small
from tests.run import turning

pytestmark = pytest.mark.slow

WORLD = """\
# What is known now.
as_of: "2026-01-02T00:00:00Z"   # moved by a tick
champion: none
"""
STAGE = """\
import json, pathlib, sys
as_of = next(l for l in open("world.yaml") if l.startswith("as_of")).split()[1].strip("\\"'")
pathlib.Path("reports").mkdir(exist_ok=True)
if as_of.startswith("2030"):
    refusal = {"exit_code": 3, "says": "a day is missing.", "stage": "featurize"}
    pathlib.Path("reports/refusal.json").write_text(json.dumps(refusal))
    sys.exit("cll: a day is missing.")
figure = {"value": 0.5, "low": 0.4, "high": 0.6}
told = {"candidate": {"roc_auc": figure}, "data": {"rows": len(as_of), "train_until": as_of}}
pathlib.Path("metrics.json").write_text(json.dumps(told))
pathlib.Path("resolved.yaml").write_text("gate: {metric: roc_auc}\\ntrigger: {}\\n")
pathlib.Path("reports/verdict.json").write_text('{"answer": "promote", "model_id": "0a"}')
"""
PIPELINE = """\
stages:
  featurize:
    cmd: exec python stage.py
    params:
      - world.yaml: [as_of]
    outs: [resolved.yaml: {cache: false, persist: true}]
    metrics: [metrics.json: {cache: false, persist: true}]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tick") / "project"
    folder.mkdir()
    for name, text in (("world.yaml", WORLD), ("stage.py", STAGE), ("dvc.yaml", PIPELINE)):
        (folder / name).write_text(text)
    turning.dvc(folder, "init", "--no-scm")
    turning.dvc(folder, "repro")
    return folder


@pytest.fixture
def root(made, tmp_path):
    return shutil.copytree(made, tmp_path / "project")


def world(root):
    return (root / "world.yaml").read_text()


def test_no_instant_is_a_usage_error(root):
    said = small.cll(root, "tick", "--as-of", "soon")
    assert said.code == 2
    assert said.err.startswith("cll: --as-of: 'soon' is not an instant; ")


def test_a_world_later_than_now_is_not_moved_back_unasked(root):
    (root / "world.yaml").write_text(WORLD.replace("2026", "2999"))
    said = small.cll(root, "tick")
    assert said.code == 2
    assert said.err.startswith("cll: world.yaml: as_of=2999-01-02T00:00:00Z is later than now, ")
    assert said.err.endswith("; name the instant to move it back: cll tick --as-of.\n")
    assert "2999" in world(root)


NOW = datetime(2026, 1, 2, 12, 30, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 12, 30, 1, tzinfo=UTC)


def test_an_instant_later_than_now_is_refused_unless_asked_for(root):
    with pytest.raises(
        ConfigError, match=r"^--as-of=2026-01-02T12:30:01Z: later than now, 2026-01-"
    ):
        tick.tick(root, LATER, clock=NOW)
    assert world(root) == WORLD
    tick.tick(root, LATER, future=True, clock=NOW)
    assert "2026-01-02T12:30:01Z" in world(root)


@pytest.mark.parametrize("text", ["", "set: {a:"])
def test_a_damaged_params_file_is_refused_with_the_way_out_before_anything_moves(root, text):
    (root / "params.yaml").write_text(text)
    said = small.cll(root, "tick", "--as-of", "2026-01-03T00:00:00Z")
    assert said.code == 2
    assert said.err.endswith("restore it: `git checkout -- params.yaml`.\n")
    assert said.err.count("\n") == 1
    assert world(root) == WORLD


def test_now_itself_is_not_later_than_now(root):
    tick.tick(root, NOW, clock=NOW)
    assert "2026-01-02T12:30:00Z" in world(root)


def test_a_world_that_a_person_moved_beyond_now_stays_and_is_named(root, capsys):
    (root / "world.yaml").write_text(WORLD.replace("00:00:00Z", "12:30:01Z"))
    tick.tick(root, LATER, clock=NOW)
    said = capsys.readouterr().err
    assert (
        "tick: world.yaml: as_of=2026-01-02T12:30:01Z is later than now, 2026-01-02T12:30:00Z; "
        in said
    )
    assert "2026-01-02T12:30:01Z" in world(root)


def test_the_command_line_refuses_the_future_as_a_usage_error(root):
    said = small.cll(root, "tick", "--as-of", "2999-01-01T00:00:00Z")
    assert said.code == 2
    assert said.err.startswith("cll: --as-of=2999-01-01T00:00:00Z: later than now, ")
    assert said.err.endswith("or add --future where the data are simulated.\n")


def test_a_world_written_otherwise_is_left_alone(root):
    (root / "world.yaml").write_text('{as_of: "2026-01-02T00:00:00Z"}\n')
    said = small.cll(root, "--quiet", "tick")
    assert said.code == 2
    assert said.err.startswith("cll: world.yaml: as_of: no such line; write `as_of: ...` ")


def test_a_second_change_at_once_is_busy(root):
    with locks.only_one(root):
        assert small.cll(root, "tick").code == 5
    assert world(root) == WORLD


def test_where_a_stage_fails_the_world_is_as_it_was_and_the_code_is_the_stages(root, capfd):
    said = small.cll(root, "--quiet", "tick", "--as-of", "2030-01-01T00:00:00Z", "--future")
    assert said.code == 3
    assert "cll: a day is missing." in capfd.readouterr().err
    assert said.err == (
        "cll: world.yaml: as_of is 2026-01-02T00:00:00Z again; `dvc repro` undoes the rest.\n"
    )
    assert world(root) == WORLD


def test_how_it_ended_is_kept_for_the_status(root):
    small.cll(root, "--quiet", "tick", "--as-of", "2030-01-01T00:00:00Z", "--future")
    told = json.loads((root / tick.LAST).read_text())
    assert (told["as_of"], told["code"], told["says"]) == (
        "2030-01-01T00:00:00Z",
        3,
        "a day is missing.",
    )


def test_a_training_that_failed_begins_again(root):
    (root / "models" / "candidate").mkdir(parents=True)
    small.cll(root, "--quiet", "tick", "--as-of", "2030-01-01T00:00:00Z", "--future")
    assert not outcome.training(root).exists()  # it failed before any was to begin
    outcome.training(root).touch()
    assert small.cll(root, "tick", "--as-of", "2026-01-03T00:00:00Z").code == 0
    assert not outcome.training(root).exists()


SLOW = """\
import pathlib, time
from cll.system import processes as guard
guard.die_with_parent()
pathlib.Path("began").touch()
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_told_to_end_leaves_the_world_as_it_was_and_no_child(root, number):
    (root / "stage.py").write_text(SLOW)
    ticking = turning.start(root, "tick", "--as-of", "2026-01-03T00:00:00Z")
    turning.until((root / "began").exists, "the stage never began")
    assert world(root) != WORLD
    ticking.send_signal(number)
    said = ticking.communicate()[0]
    assert ticking.returncode == (tick.ENDED if number == signal.SIGTERM else 130), said
    assert world(root) == WORLD
    turning.until(lambda: not turning.children(root), "a child is left")


def test_one_that_is_killed_leaves_no_child_and_the_next_goes_on(root):
    stage = (root / "stage.py").read_text()
    (root / "stage.py").write_text(SLOW)
    ticking = turning.start(root, "tick", "--as-of", "2026-01-03T00:00:00Z")
    turning.until((root / "began").exists, "the stage never began")
    turning.killed(ticking, root)
    assert world(root) != WORLD  # which git shows
    (root / "stage.py").write_text(stage)
    assert small.cll(root, "tick", "--as-of", "2026-01-04T00:00:00Z").code == 0
    assert world(root) == WORLD.replace("01-02T", "01-04T")


def test_a_tick_edits_one_value_and_tells_what_changed(root):
    said = small.cll(root, "tick", "--as-of", "2026-01-03T06:00:00Z")
    assert said.code == 0
    assert world(root) == WORLD.replace("01-02T00", "01-03T06")
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0] == "compared with as_of 2026-01-02T00:00:00Z"
    assert "world.as_of 2026-01-02T00:00:00Z 2026-01-03T06:00:00Z" in lines
    assert "train_until 2026-01-02T00:00:00Z 2026-01-03T06:00:00Z" in lines
    assert "verdict promote 0a" in lines
    assert json.loads((root / "metrics.json").read_text())["data"]["train_until"].startswith(
        "2026-01-03"
    )


def test_back_is_where_one_asks_for(root):
    assert small.cll(root, "tick", "--as-of", "2026-01-01T00:00:00Z").code == 0
    assert world(root) == WORLD.replace("01-02T", "01-01T")


def test_without_an_instant_it_is_the_last_whole_hour(root):
    assert small.cll(root, "tick").code == 0
    told = world(root).split('"')[1]
    moved_to = datetime.strptime(told, "%Y-%m-%dT%H:00:00Z").replace(tzinfo=UTC)
    assert 0 <= (datetime.now(UTC) - moved_to).total_seconds() < 3600 + 60


def test_a_release_is_in_force_from_the_next_tick_on(tmp_path, tmp_path_factory):
    ws = released.copied(released.once(tmp_path_factory), tmp_path / "project")
    for name, text in (("stage.py", STAGE), ("dvc.yaml", PIPELINE)):
        (ws.root / name).write_text(text)
    turning.forgotten(ws)
    assert "champion: none" in world(ws.root)
    assert small.cll(ws.root, "tick", "--as-of", "2026-01-06T00:00:00Z").code == 0
    assert f'champion: "{ledger.read(ws.root).champion}"' in world(ws.root).replace("'", '"')
