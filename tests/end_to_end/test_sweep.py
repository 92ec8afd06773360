"""Sweeps as a person starts them: in a process that forks its own."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import optuna
import pytest
from omegaconf import OmegaConf

from hydra_plugins.cll_sweeps.optuna import Optuna
from tests.build import small

CLASSIC = ["source=classic", "features=kpi", "label=outcome"]
WORDS = [*CLASSIC, "estimator=logistic,lightgbm", "estimator.C=0.1", "seed=0,1"]


def command(*words):
    return [sys.executable, "-m", "cll", *words]


def run(folder, *words):
    env = {**os.environ, "PYTHONPATH": str(small.ROOT)}
    return subprocess.run(
        command("run", *words), cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def jobs(sweep):
    return sorted(sweep.glob("*/job.json"), key=lambda path: int(path.parent.name))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A project after a sweep of four jobs, two of which are wrong."""
    folder = small.project(tmp_path_factory.mktemp("sweep") / "project").root
    return folder, run(folder, "-m", *WORDS)


def test_a_failed_job_names_its_error_in_one_line_and_the_exit_code_tells(swept):
    _, said = swept
    assert said.returncode == 2
    failed = [line for line in said.stderr.splitlines() if ": failed: " in line]
    assert len(failed) == 2
    assert all("estimator.C: unknown key; there are: " in line for line in failed)
    assert "2 of 4 jobs failed." in said.stdout


def test_each_end_is_a_line_that_counts(swept):
    _, said = swept
    lines = [line for line in said.stderr.splitlines() if line.startswith("[")]
    assert [line.split()[0] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]


def test_signals_and_features_are_made_once_whatever_runs_beside(swept):
    folder, _ = swept
    logs = [path.read_text() for path in folder.glob("multirun/*/*/*/job.log")]
    assert len(logs) == 4
    for stage in ("ingest", "featurize"):
        assert sum(f"{stage}: made " in log for log in logs) == 1
        assert sum(f"{stage}: reused from " in log for log in logs) == 1
    assert len(list((folder / ".cll" / "store").glob("*-*"))) == 2


def test_the_leaderboard_ends_the_sweep_and_stands_beside_it(swept):
    folder, said = swept
    (sweep,) = folder.glob("multirun/*/*")
    rows = list(csv.DictReader((sweep / "leaderboard.csv").read_text().splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2", "", ""]
    assert {row["seed"] for row in rows[:2]} == {"0", "1"}
    assert all(float(row["seconds"]) > 0 for row in rows[:2])
    assert all("unknown key" in row["says"] for row in rows[2:])
    again = subprocess.run(
        command("leaderboard", str(sweep)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(small.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout in said.stdout


@pytest.mark.slow
def test_sweeps_that_start_in_the_same_instant_share_no_folder(tmp_path):
    folder = small.project(tmp_path / "project").root
    words = command("--quiet", "run", "-m", *CLASSIC, "estimator=logistic", "seed=0,1")
    env = {**os.environ, "PYTHONPATH": str(small.ROOT)}
    both = [
        subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    assert [one.wait() for one in both] == [0, 0]
    assert [len(jobs(sweep)) for sweep in folder.glob("multirun/*/*")] == [2, 2]
    assert len(list((folder / ".cll" / "store").glob("*-*"))) == 2


@pytest.mark.slow
def test_a_sweep_that_was_killed_goes_on_to_what_an_undisturbed_one_gives(tmp_path):
    folder = small.project(tmp_path / "project").root
    asked = ["-m", *CLASSIC, "estimator=lightgbm", "estimator.num_leaves=3,4,5,6,7,8"]
    env = {**os.environ, "PYTHONPATH": str(small.ROOT)}
    sweep = subprocess.Popen(
        command("--quiet", "run", *asked), cwd=folder, env=env, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(list(folder.glob("multirun/*/*/*/job.json"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    (place,) = folder.glob("multirun/*/*")
    before = {path: path.stat().st_mtime_ns for path in jobs(place)}
    assert 2 <= len(before) < 6
    said = run(folder, "--resume", str(place.relative_to(folder)))
    assert said.returncode == 0, said.stderr
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    run(folder, *asked)
    (other,) = (path for path in folder.glob("multirun/*/*") if path != place)
    assert len(jobs(place)) == len(jobs(other)) == 6
    for mine, theirs in zip(jobs(place), jobs(other), strict=True):
        assert (mine.parent / "metrics.json").read_bytes() == (
            theirs.parent / "metrics.json"
        ).read_bytes()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ("params.yaml", "params.yaml changed since this began; "),
        ("world.yaml", "world.yaml changed since this began; "),
        ("conf/split/time.yaml", "conf/ changed since this began; "),
    ],
)
def test_a_sweep_does_not_go_on_with_other_inputs(swept, tmp_path, edit, says):
    copied = small.copied(small.workspace.Workspace(swept[0]), tmp_path / "copy").root
    (copied / edit).write_text((copied / edit).read_text() + "\n# edited\n")
    (sweep,) = copied.glob("multirun/*/*")
    said = small.cll(copied, "run", "--resume", str(sweep))
    assert said.code == 2
    assert says in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--resume", "nowhere"], "nowhere: no sweep began here (sweep.json is missing); "),
        (["--resume"], "--resume: write `cll run --resume DIR` alone."),
        (["--resume", "a", "seed=1"], "--resume: write `cll run --resume DIR` alone."),
    ],
)
def test_what_can_not_be_resumed_is_one_line(swept, words, says):
    said = small.cll(swept[0], "run", *words)
    assert said.code == 2
    assert said.err.startswith(f"cll: {says}")


def test_a_damaged_record_of_a_sweep_is_refused(swept, tmp_path):
    copied = small.copied(small.workspace.Workspace(swept[0]), tmp_path / "copy").root
    (sweep,) = copied.glob("multirun/*/*")
    told = json.loads((sweep / "sweep.json").read_text())
    told["arguments"].append("seed=7")
    (sweep / "sweep.json").write_text(json.dumps(told))
    said = small.cll(copied, "run", "--resume", str(sweep))
    assert said.code == 4
    assert said.err.endswith("its bytes do not match its checksum; begin the sweep anew.\n")


SPACE = ["estimator.num_leaves=range(3,30)", "estimator.learning_rate=tag(log,interval(0.01,0.3))"]
OPTUNA = ["-m", "hydra/sweeper=optuna", *CLASSIC, "estimator=lightgbm", *SPACE]


def asked_for(sweep):
    return [json.loads(path.read_text()) for path in jobs(sweep)]


@pytest.mark.slow
def test_optuna_ends_what_does_not_pay_and_chooses_the_same_again_after_a_kill(tmp_path):
    folder = small.project(tmp_path / "project").root
    said = run(folder, *OPTUNA, "hydra.sweeper.trials=10", "hydra.sweeper.startup=3")
    assert said.returncode == 0, said.stderr
    (whole,) = folder.glob("multirun/*/*")
    trials = asked_for(whole)
    assert len(trials) == 10
    assert {trial["status"] for trial in trials} == {"done", "stopped"}
    assert "[10/10]" in said.stderr
    ended = next(trial for trial in trials if trial["status"] == "stopped")
    assert ended["says"] == f"Ended after fold {len(ended['losses'])}: others did better by then."

    cut = folder / "multirun" / "cut" / "off"
    shutil.copytree(whole, cut)
    for number in range(6, 10):
        shutil.rmtree(cut / str(number))
    said = run(folder, "--resume", "multirun/cut/off")
    assert said.returncode == 0, said.stderr
    for mine, theirs in zip(asked_for(cut), trials, strict=True):
        same = ("overrides", "status", "figure", "losses")
        assert [mine[name] for name in same] == [theirs[name] for name in same]


def test_optuna_says_what_it_can_not_span(tmp_path):
    folder = small.project(tmp_path / "project").root
    words = ["-m", "hydra/sweeper=optuna", *CLASSIC, "estimator.num_leaves=glob(*)"]
    said = run(folder, *words)
    assert said.returncode == 2
    assert said.stderr == (
        "cll: estimator.num_leaves=glob(*): Optuna can't search that; write choices, a range or an "
        "interval.\n"
    )


@pytest.mark.parametrize(
    ("metric", "direction"), [("brier", "MINIMIZE"), ("average_precision", "MAXIMIZE")]
)
def test_optuna_looks_the_way_that_the_gates_metric_states(metric, direction):
    sweeper = Optuna(trials=1, seed=0, startup=1, beside=1)
    target = f"cll.components.metric.standard.{metric}"
    cfg = {"gate": {"metric": metric}, "metric": {metric: {"_target_": target}}}
    sweeper._cfg = OmegaConf.create(cfg)
    assert sweeper._study(optuna).direction.name == direction
