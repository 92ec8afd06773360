"""Projects small enough to tick in a test: the real stages by the real `dvc repro`, each in git."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from cll.system import processes, workspace
from tests.build import released, small
from tests.conftest import BIN

PARAMS = """\
experiment: null
source: files
features: kpi
label: outcome
estimator: {estimator}
set:
  source: {{files: {{path: telemetry}}}}
  estimator: {{lightgbm: {{max_rounds: 1, num_leaves: 2}}}}
  gate: {{default: {{floors: {{roc_auc: null}}, ceilings: {{calibration_error: null}},
                   baselines: [], slices: null, min_positive_blocks: 1}}}}
"""
PR_SET_CHILD_SUBREAPER = 36
FIRST, SECOND, THIRD = (f"2026-01-0{day}T00:00:00Z" for day in (5, 6, 7))
_MADE = {}


def project(tmp_path_factory):
    """Return a reproduced and committed project without a ledger; nothing may change it."""
    if "project" not in _MADE:
        ws = small.project(tmp_path_factory.mktemp("turning") / "project", as_of=FIRST)
        pipeline = yaml.safe_load((small.ROOT / "dvc.yaml").read_text())
        for stage in pipeline["stages"].values():  # the code is not the project's own here
            stage["deps"] = [dep for dep in stage["deps"] if not dep.startswith("cll")]
        (ws.root / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
        (ws.root / "params.yaml").write_text(PARAMS.format(estimator="lightgbm"))
        small.runs_file(ws.root / "telemetry" / "runs.csv", 600)
        (ws.root / "data" / "raw").mkdir(parents=True)
        (ws.root / "data" / "raw" / ".gitkeep").touch()
        for name in (".gitignore", ".gitattributes"):
            shutil.copy(small.ROOT / name, ws.root / name)
        with (ws.root / ".gitignore").open("a") as file:
            file.write("/telemetry/\n")
        released.git(ws.root, "init", "-q", "-b", "main")
        dvc(ws.root, "init")
        dvc(ws.root, "repro")
        released.commit(ws.root)
        _MADE["project"] = ws
    return _MADE["project"]


def ledgered(tmp_path_factory):
    """Return that project after its first release; nothing may change it."""
    if "ledgered" not in _MADE:
        made = project(tmp_path_factory)
        ws = copied(made, tmp_path_factory.mktemp("ledgered") / "project")
        said = released.cll(ws.root, "release", "--bootstrap", "--why", "to begin with")
        assert said.code == 0, said.err
        _MADE["ledgered"] = ws
    return _MADE["ledgered"]


def better(ws):
    """Choose, and commit, an estimator that surely does better than the model that is there."""
    (ws.root / "params.yaml").write_text(PARAMS.format(estimator="logistic"))
    released.git(ws.root, "commit", "-qam", "a better estimator")


def forgotten(ws):
    """Take the candidate away, so that it is time to train whatever the triggers say."""
    shutil.rmtree(ws.candidate)


def arrive(ws, day, rows=20):
    """Bring in another file of a day, as published."""
    small.runs_file(ws.root / "telemetry" / f"{day}.csv", rows)
    path = ws.root / "telemetry" / f"{day}.csv"
    path.write_text(path.read_text().replace("2026-01-01", day).replace("2026-01-02", day))


def copied(ws, folder):
    shutil.copytree(ws.root, folder, symlinks=True)
    return workspace.Workspace(folder)


def dvc(folder, *words):
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words, "-q"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def start(folder, *words, **more):
    """Start `cll` in a process of its own, with the shell that cron has."""
    env = {**os.environ, **released.WHO, "CLL_QUIET": "1", "SHELL": "/bin/sh", **more}
    # Who started the tests may ignore it, as a shell's `&` does, and so would what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [sys.executable, "-m", "cll", *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(holds, what, tries=1200):
    """Wait until something holds; how long it takes is nobody's promise here."""
    for _ in range(tries):
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError(what)


def killed(process, folder):
    """Kill a process, and wait until nothing that it had at work in a folder is left.

    Not even as a zombie, which DVC takes for a process at work.
    """
    at_work = children(folder)
    with _adopting():
        process.kill()
        process.communicate()
        until(lambda: not any(_is_left(number) for number in at_work), "one is left")


@contextlib.contextmanager
def _adopting():
    """Become the parent of orphans for a while: who else would may reap them a minute later.

    Not for longer, since what DVC leaves behind would become a zombie here.
    """
    processes.adopt_orphans()
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)


def _is_left(number):
    """Reap a process if it ended and is ours by now; tell whether it is still there."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(number, os.WNOHANG)
    return Path(f"/proc/{number}").exists()


def children(folder):
    """List the processes that are at work in a folder, by number, with their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found
