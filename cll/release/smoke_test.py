"""A released model, loaded in a process of its own and asked for scores that are known.

`python -P -m cll.release.smoke_test FOLDER KNOWN` is that process: it has nothing of the one that trained.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cll.config.fingerprint import environment
from cll.config.project import load_tree, load_world
from cll.model import artifact
from cll.model.artifact import Predictor
from cll.pipeline.dataset import labelled
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.arrays import Features, Floats
from cll.types.errors import CllError, SecurityRefusal
from cll.vcs.commands import python

ROWS = 100
TOLERANCE = 1e-6  # between machines of another kind
_DIGITS = 9  # tell one float32 from every other


def known(ws: Workspace, predictor: Predictor) -> bytes:
    """Score rows of the holdout, evenly spread; return them with their scores, a row a line."""
    held = labelled.load(ws, load_tree(ws), load_world(ws))
    rows = held.matrix(held.split.holdout)
    X = labelled.aligned(rows, predictor.names)
    chosen = np.unique(np.linspace(0, len(X) - 1, ROWS).astype(int))
    told = {
        "made_by": environment(ws),
        "model_id": predictor.model_id,
        "names": list(predictor.names),
        "scores": _score(predictor, X[chosen]).tolist(),
    }
    head = disk.json_bytes(told).decode().removesuffix("\n}\n")
    lines = ",\n".join(f"    {json.dumps(_written(row))}" for row in X[chosen])
    return f'{head},\n  "rows": [\n{lines}\n  ]\n}}\n'.encode()


def _written(row: Features) -> list[float | None]:
    """Write float32 with as few digits as tell it apart; null is a missing value."""
    return [None if np.isnan(v) else float(f"{v:.{_DIGITS}g}") for v in row]


def _score(predictor: Predictor, X: Features) -> Floats:
    with threadpool_limits(1, user_api="blas"):
        return predictor.probability(X)


def check(ws: Workspace, folder: Path, told: Path) -> int:
    """Refuse a model that does not give its known scores; return how many rows were asked.

    Bit for bit, or to 1e-6 where the processor or the lock file is another.
    """
    found = _in_a_process(folder.resolve(), told.resolve())
    same_kind = found["made_by"] == environment(ws)
    if found["worst"] > (0.0 if same_kind else TOLERANCE):
        raise SecurityRefusal(
            f"{folder}: gives other scores than {told.name} has, by up to {found['worst']:.2g};"
            " make or fetch the model again."
        )
    return int(found["rows"])


def _in_a_process(folder: Path, told: Path) -> Mapping[str, Any]:
    command = python("cll.release.smoke_test", str(folder), str(told))
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own arguments
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        says = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise SecurityRefusal(f"{folder}: can't be loaded in a fresh process: {says}") from None
    if "says" in found:
        error = CllError(found["says"])
        error.exit_code = int(found["exit_code"])
        raise error
    return found  # type: ignore[no-any-return]


def main(folder: Path, told: Path) -> dict[str, Any]:
    """Load the model and score the known rows; return how far its answers are off at most."""
    recorded = disk.read_json(told)
    predictor = artifact.load(folder)
    try:
        names, wanted = tuple(recorded["names"]), np.asarray(recorded["scores"], np.float64)
        X = np.asarray(recorded["rows"], np.float32)
        made_by, model_id = recorded["made_by"], recorded["model_id"]
    except (KeyError, TypeError, ValueError):
        raise SecurityRefusal(f"{told}: not rows with their scores; fetch it again.") from None
    if (names, model_id) != (predictor.names, predictor.model_id) or X.shape != (
        len(wanted),
        len(names),
    ):
        raise SecurityRefusal(f"{told}: not the rows of the model in {folder}; fetch it again.")
    off = np.abs(_score(predictor, X) - wanted)
    worst = float(off.max()) if len(off) and np.isfinite(off).all() else 1.0
    return {"made_by": made_by, "rows": len(X), "worst": worst}


def _answer(words: list[str]) -> dict[str, Any]:
    try:
        return main(Path(words[0]), Path(words[1]))
    except CllError as error:
        return {"says": str(error), "exit_code": error.exit_code}


if __name__ == "__main__":
    print(json.dumps(_answer(sys.argv[1:])))  # noqa: T201  the parent reads it
