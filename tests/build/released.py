"""Projects with releases, each in a git repository, small enough for a test's own process."""

import os
import shutil
import subprocess
import sys

from cll.loop import world
from cll.release import ledger
from cll.system import workspace
from tests.build import small

WHO = {
    name: "t@localhost" if name.endswith("EMAIL") else "t"
    for role in ("AUTHOR", "COMMITTER")
    for name in (f"GIT_{role}_NAME", f"GIT_{role}_EMAIL")
}
GATE = ["gate.ceilings.calibration_error=null", "gate.baselines=[prior]"]
WEAK = ["estimator=lightgbm", "estimator.max_rounds=1", "estimator.num_leaves=2"]
FIRST = [*small.CLASSIC[:-1], *GATE, *WEAK]
SECOND = [*small.CLASSIC, *GATE]
_MADE = {}


def git(folder, *words, check=True):
    done = subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **WHO}, capture_output=True, check=False
    )
    assert done.returncode == 0 or not check, done.stderr.decode()
    return done.stdout.decode().strip()


def cll(folder, *words):
    os.environ.update(WHO)
    try:
        return small.cll(folder, *words)
    finally:
        for name in WHO:
            os.environ.pop(name)


def candidate(tmp_path_factory):
    """Return a committed project whose candidate the gate promotes; nothing may change it."""
    if "candidate" not in _MADE:
        ws = small.project(tmp_path_factory.mktemp("candidate") / "project")
        small.reproduce(ws, FIRST)
        (ws.root / "dvc.yaml").unlink()  # so that DVC finds no changed stage
        for name in (".gitignore", ".gitattributes"):
            shutil.copy(small.ROOT / name, ws.root / name)
        git(ws.root, "init", "-q", "-b", "main")
        command = [sys.executable, "-m", "dvc", "init", "-q"]
        subprocess.run(command, cwd=ws.root, check=True)
        commit(ws.root)
        _MADE["candidate"] = ws
    return _MADE["candidate"]


def once(tmp_path_factory):
    """Return the same project after its first release; nothing may change it."""
    if "once" not in _MADE:
        made = candidate(tmp_path_factory)
        ws = small.copied(made, tmp_path_factory.mktemp("once") / "project")
        said = cll(ws.root, "release", "--bootstrap", "--why", "to begin with")
        assert said.code == 0, said.err
        _MADE["once"] = ws
    return _MADE["once"]


def twice(tmp_path_factory):
    """Return the same project after a second model was released; nothing may change it."""
    if "twice" not in _MADE:
        made = once(tmp_path_factory)
        ws = small.copied(made, tmp_path_factory.mktemp("twice") / "project")
        another(ws)
        said = cll(ws.root, "release", "--why", "for less regularization")
        assert said.code == 0, said.err
        _MADE["twice"] = ws
    return _MADE["twice"]


def another(ws, overrides=SECOND):
    """Run the tick after which the last release is the champion, train another candidate, and commit."""
    world.put(ws.root / "world.yaml", "champion", ledger.read(ws.root).champion)
    pipeline = ws.root / "dvc.yaml"
    shutil.copy(small.ROOT / "dvc.yaml", pipeline)
    small.reproduce(ws, overrides)
    pipeline.unlink()
    commit(ws.root)


def commit(folder):
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "as it is")


def commit_empty(folder):
    git(folder, "commit", "-q", "--allow-empty", "-m", "nothing")


def copied(ws, folder):
    shutil.copytree(ws.root, folder, symlinks=True)
    return workspace.Workspace(folder)
