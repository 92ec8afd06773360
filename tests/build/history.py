"""Small git repositories with the results of a project's runs."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np

GATE = {
    "metric": "average_precision",
    "floors": {"roc_auc": 0.6},
    "ceilings": {"calibration_error": 0.1},
}
DIRECTIONS = {
    "average_precision": "higher",
    "roc_auc": "higher",
    "recall": "higher",
    "calibration_error": "lower",
}
_WHO = {
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@localhost",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@localhost",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(folder, *words):
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={**os.environ, **_WHO},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def repository(folder):
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    return folder


def commit(folder, **files):
    """Write files and commit them; return the commit."""
    for name, text in files.items():
        path = Path(folder, name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "as it is", "--allow-empty")
    return git(folder, "rev-parse", "HEAD")


def figures(spread=0.02, holdout_id="same", **values):
    told = {"average_precision": 0.5, "roc_auc": 0.8, "calibration_error": 0.05, **values}
    return {
        "candidate": {
            name: {"value": value, "low": value - spread, "high": value + spread}
            for name, value in told.items()
        },
        "data": {"rows": 100, "positives": 9, "holdout_id": holdout_id},
        "events": {"caught": 3},
    }


def write(folder, metrics, draws_seed=None, gate=None, answer="promote", **resolved):
    """Write the files of a run that are tracked by git."""
    (folder / "reports").mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    tree = {"gate": gate or GATE, "directions": DIRECTIONS, "estimator": {"C": 1.0}, **resolved}
    (folder / "resolved.yaml").write_text(json.dumps(tree))
    (folder / "world.yaml").write_text('as_of: "2026-01-31T00:00:00Z"\nchampion: none\n')
    rules = [{"name": "floor.roc_auc", "outcome": "passed" if answer == "promote" else "failed"}]
    verdict = {"answer": answer, "model_id": "0a", "champion": "none", "rules": rules}
    (folder / "reports" / "verdict.json").write_text(json.dumps(verdict))
    draws = folder / "reports" / "draws.csv"
    draws.unlink(missing_ok=True)
    if draws_seed is not None:
        rng, told = np.random.default_rng(draws_seed), metrics["candidate"]
        lines = [",".join(told)]
        for _ in range(50):
            noise = rng.normal(0, 0.01)
            lines.append(",".join(f"{one['value'] + noise:.6f}" for one in told.values()))
        draws.write_text("\n".join(lines) + "\n")
