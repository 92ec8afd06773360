"""Projects in git that are small enough to tick in a test, with the real stages and the real `dvc repro`."""

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
        for stage in pipeline["stages"].values():  # this project's folder does not contain the code
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
    """Return the same project after its first release; nothing may change it."""
    if "ledgered" not in _MADE:
        made = project(tmp_path_factory)
        ws = copied(made, tmp_path_factory.mktemp("ledgered") / "project")
        said = released.cll(ws.root, "release", "--bootstrap", "--why", "to begin with")
        assert said.code == 0, said.err
        _MADE["ledgered"] = ws
    return _MADE["ledgered"]


def better(ws):
    """Choose an estimator that surely beats the present model, and commit the choice."""
    (ws.root / "params.yaml").write_text(PARAMS.format(estimator="logistic"))
    released.git(ws.root, "commit", "-qam", "a better estimator")


def forgotten(ws):
    """Delete the candidate, so that the next tick trains whether or not a trigger fires."""
    shutil.rmtree(ws.candidate)


def arrive(ws, day, rows=20):
    """Add the published file of one more day."""
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
    """Start `cll` in its own process, with the shell of a cron job."""
    env = {**os.environ, **released.WHO, "CLL_QUIET": "1", "SHELL": "/bin/sh", **more}
    # A parent of the tests may ignore SIGINT, as a shell's `&` does, and child processes inherit that.
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
    """Wait until a condition holds, by default for up to a minute."""
    for _ in range(tries):
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError(what)


def killed(process, folder):
    """Kill a process, and wait until no process that worked in the folder is left.

    Zombies must be gone, too, because DVC takes them for running processes.
    """
    at_work = children(folder)
    with _adopting():
        process.kill()
        process.communicate()
        until(lambda: not any(_is_left(number) for number in at_work), "one is left")


@contextlib.contextmanager
def _adopting():
    """Adopt orphaned processes for a while; the default parent might reap them a minute later.

    The time is limited, because processes that DVC leaves behind would become zombies of this one.
    """
    processes.adopt_orphans()
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)


def _is_left(number):
    """Reap a process if it has ended and is our child by now; return whether it still exists."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(number, os.WNOHANG)
    return Path(f"/proc/{number}").exists()


def children(folder):
    """Return the command lines, by process id, of the processes whose working folder is `folder`."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found
