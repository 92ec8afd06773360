import json
import os
import shutil
import signal
from datetime import timedelta

import pytest

from cll.loop import daemon
from cll.system import locks
from tests.build import small
from tests.loop.test_tick import PIPELINE, STAGE, WORLD
from tests.run import turning

# A stage that counts its runs, and does what the file `how` says: end well, refuse, or hang.
MOODY = """\
import time
from cll.system import processes as guard
guard.die_with_parent()
how = pathlib.Path("how").read_text()
with open("runs", "a") as file:
    file.write(how + "\\n")
if how == "hang":
    time.sleep(600)
if how == "refuse":
    refusal = {"exit_code": 3, "says": "a day is missing.", "stage": "featurize"}
    pathlib.Path("reports/refusal.json").write_text(json.dumps(refusal))
    sys.exit(1)
"""
EVERY = ("loop", "--every", "2s", "--retry", "1s")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loop") / "project"
    folder.mkdir()
    begin, _, rest = STAGE.partition("as_of =")
    texts = {
        "world.yaml": WORLD,
        "how": "well",
        "stage.py": f"{begin}{MOODY}as_of ={rest}",
        "dvc.yaml": PIPELINE,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "reports").mkdir()
    turning.dvc(folder, "init", "--no-scm")
    turning.dvc(folder, "repro")
    (folder / "runs").unlink()
    return folder


@pytest.fixture
def root(made, tmp_path):
    return shutil.copytree(made, tmp_path / "project")


@pytest.fixture
def started(root):
    """Start loops, and see that none outlives the test."""
    all_of_them = []

    def start(*words):
        all_of_them.append(turning.start(root, *(words or EVERY)))
        return all_of_them[-1]

    yield start
    for one in all_of_them:
        one.kill()
        one.wait()
        one.stdout.close()


def runs(root):
    path = root / "runs"
    return path.read_text().split() if path.is_file() else []


def state(root):
    path = root / daemon.STATE
    return json.loads(path.read_text()) if path.is_file() else {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--every", "soon"], "--every: 'soon' is not a duration; write 30m, 1h30m, 7d or 0."),
        (["--every", "0"], "--every, --retry: 0 is not an interval; write 1h."),
        (["--retry", "0"], "--every, --retry: 0 is not an interval; write 1h."),
    ],
)
def test_what_is_no_interval_is_refused(root, words, says):
    said = small.cll(root, "loop", *words)
    assert said.code == 2
    assert said.err == f"cll: {says}\n"


def test_a_second_loop_in_a_project_is_refused(root):
    with locks.alone(root / daemon.LOCK, "held"):
        said = small.cll(root, "loop")
    assert said.code == 5
    assert said.err.splitlines() == [
        "loop: every 1h; release.mode is never: it commits and releases nothing.",
        "cll: Another `cll loop` runs in this project; `cll status` shows its state.",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_in_a_tick_it_ends_well_and_leaves_no_child_and_the_world(
    root, started, number
):
    (root / "how").write_text("hang")
    one = started()
    turning.until(lambda: runs(root), "no tick began")
    assert (root / "world.yaml").read_text() != WORLD
    assert "ticking" in state(root)
    one.send_signal(number)
    said = one.communicate()[0]
    assert one.returncode == 0, said
    assert turning.children(root) == {}
    assert (root / "world.yaml").read_text() == WORLD


@pytest.mark.slow
def test_it_ticks_again_and_again_and_ends_well_between_ticks(root, started):
    one = started()
    turning.until(lambda: len(runs(root)) > 1, "it ticked once at most")
    turning.until(lambda: state(root).get("failures") == 0 and "next" in state(root), "no rest")
    told = turning.until(lambda: status(root)["loop"]["runs"] and status(root)["loop"], "not seen")
    assert told["pid"] == one.pid
    assert told["every"] == "2s"
    one.terminate()
    one.communicate()
    assert one.returncode == 0
    assert turning.children(root) == {}
    assert status(root)["loop"]["runs"] is False
    assert "not running" in small.cll(root, "status").out


def status(root):
    return json.loads(small.cll(root, "status", "--json").out)


@pytest.mark.slow
def test_what_is_refused_is_told_and_tried_again_ever_later_until_it_is_well(root, started):
    (root / "how").write_text("refuse")
    one = started("loop", "--every", "1m", "--retry", "1s")
    turning.until(lambda: state(root).get("failures", 0) > 1, "it failed once at most")
    told = status(root)
    assert told["last_tick"]["code"] == 3
    assert told["last_tick"]["says"] == "a day is missing."
    assert (root / "world.yaml").read_text() == WORLD
    (root / "how").write_text("well")
    turning.until(lambda: state(root).get("failures") == 0, "it is still failing")
    one.terminate()
    said = one.communicate()[0]
    assert one.returncode == 0
    assert "failed: the data were refused; again in" in said


@pytest.mark.slow
def test_killed_in_a_tick_it_leaves_no_child_and_the_next_start_goes_on(root, started):
    (root / "how").write_text("hang")
    one = started()
    turning.until(lambda: runs(root), "no tick began")
    turning.killed(one, root)
    assert status(root)["loop"]["runs"] is False
    (root / "how").write_text("well")
    started()
    turning.until(lambda: state(root).get("failures") == 0, "it did not go on")


@pytest.mark.slow
def test_where_only_the_tick_is_killed_the_loop_tries_again(root, started):
    (root / "how").write_text("hang")
    started()
    turning.until(lambda: runs(root), "no tick began")
    ticks = [n for n, words in turning.children(root).items() if " tick --as-of " in words]
    (root / "how").write_text("well")
    os.kill(ticks[0], signal.SIGKILL)
    turning.until(lambda: runs(root)[-1] == "well", "no other tick began")
    turning.until(lambda: state(root).get("failures") == 0, "it did not go on")


@pytest.mark.slow
def test_a_world_that_can_not_be_read_is_waited_out(root, started):
    (root / "world.yaml").write_text("as_of: soon\n")
    one = started()
    turning.until(lambda: state(root).get("failures", 0) > 0, "nothing failed")
    (root / "world.yaml").write_text(WORLD)
    turning.until(lambda: state(root).get("failures") == 0, "it is still failing")
    assert one.poll() is None


def test_a_world_that_is_later_than_the_clock_is_not_moved_back(root, monkeypatch):
    (root / "world.yaml").write_text(WORLD.replace("2026", "2999"))
    seen = []
    monkeypatch.setattr(daemon, "_tick", lambda _, as_of: seen.append(as_of) or 0)
    one = daemon.LoopSettings(root, *(timedelta(seconds=n) for n in (3600, 60)))
    assert daemon._tick_once(one) == ("2999-01-02T00:00:00Z", 0)
    assert seen == ["2999-01-02T00:00:00Z"]
