"""Projects that are small enough to run in a test's own process."""

import io
import os
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cll.cli.main import main
from cll.config import project as config_project
from cll.pipeline import stages
from cll.pipeline.compose import compose
from cll.system import workspace

ROOT = Path(__file__).parents[2]
CLASSIC = ["source=classic", "features=kpi", "label=outcome", "estimator=logistic"]
FLEET = ["source.entities=4", "features.windows=[30m]", "features.lags=[1]", "estimator=logistic"]


def project(folder, as_of="2026-01-05T00:00:00Z"):
    """Make a project's folder without code or data."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "conf", folder / "conf")
    for name in ("dvc.yaml", "uv.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text("set: {}\n")
    (folder / "world.yaml").write_text(f'as_of: "{as_of}"\nchampion: none\n')
    return workspace.Workspace(folder)


def compose_into(ws, overrides):
    """Compose the config as `dvc repro` does, with overrides."""
    tree = compose.resolve(ws.root / "conf", {}, overrides)
    ws.resolved.write_text(compose.render(tree))
    return tree


def reproduce(ws, overrides, last="report"):
    """Run the stages up to `last` in this process; `dvc repro` runs each in its own process."""
    before = Path.cwd()
    os.chdir(ws.root)
    try:
        tree = compose_into(ws, overrides)
        world = config_project.read_world(ws.root / "world.yaml")
        for name in list(stages.STAGES)[: list(stages.STAGES).index(last) + 1]:
            stages.STAGES[name](ws, tree, world)
    finally:
        os.chdir(before)
    return tree


@dataclass(frozen=True)
class Said:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def cll(folder, *words):
    """Run a command line in this process, in `folder`."""
    before = Path.cwd(), sys.argv, dict(os.environ)
    out, err = io.StringIO(), io.StringIO()
    os.chdir(folder)
    sys.argv = ["cll", *words]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as done:
        code = done.code
    finally:
        os.chdir(before[0])
        sys.argv = before[1]
        os.environ.clear()
        os.environ.update(before[2])
    return Said(code, out.getvalue(), err.getvalue())


_FLEETS = []


def fleet(tmp_path_factory):
    """Return a simulated fleet's project, reproduced once for all tests; nothing may change it."""
    if not _FLEETS:
        ws = project(tmp_path_factory.mktemp("fleet") / "project")
        reproduce(ws, FLEET)
        _FLEETS.append(ws)
    return _FLEETS[0]


def copied(ws, folder):
    """Copy a project, for a test that changes it."""
    shutil.copytree(ws.root, folder)
    return workspace.Workspace(folder)


def runs_file(path, rows, bad=0):
    """Write a file of run history; its last `bad` lines are invalid."""
    rng = np.random.default_rng(3)
    lines = ["entity,time,cpu_usage,memory_usage,error_rate,response_time,failed"]
    for number in range(rows):
        cpu, memory, errors, latency = rng.random(4)
        failed = int(cpu + memory + 0.3 * rng.random() > 1.2)
        time = f"2026-01-0{1 + number * 4 // rows}T{number % 24:02}:{number % 60:02}:00Z"
        kpis = f"{cpu:.6f},{memory:.6f},{errors:.6f},{latency:.6f}"
        lines.append(f"pod-{number % 7},{time if number < rows - bad else 'soon'},{kpis},{failed}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
