"""Smoke test of a released model: load it in a fresh process and compare its scores with known ones.

`python -P -m cll.release.smoke_test FOLDER KNOWN` runs as that process; it
shares no state with the process that trained the model.
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
TOLERANCE = 1e-6  # between different processors or library versions
_DIGITS = 9  # enough to identify a float32


def known_scores(ws: Workspace, predictor: Predictor) -> bytes:
    """Return sample rows of the holdout, evenly spread, with their scores, as JSON with a row per line."""
    dataset = labelled.load(ws, load_tree(ws), load_world(ws))
    rows = dataset.matrix(dataset.split.holdout)
    X = labelled.aligned(rows, predictor.names)
    chosen = np.unique(np.linspace(0, len(X) - 1, ROWS).astype(int))
    sample = {
        "made_by": environment(ws),
        "model_id": predictor.model_id,
        "names": list(predictor.names),
        "scores": _score(predictor, X[chosen]).tolist(),
    }
    head = disk.json_bytes(sample).decode().removesuffix("\n}\n")
    lines = ",\n".join(f"    {json.dumps(_written(row))}" for row in X[chosen])
    return f'{head},\n  "rows": [\n{lines}\n  ]\n}}\n'.encode()


def _written(row: Features) -> list[float | None]:
    """Return a row for JSON: nine digits, which identify a float32; None for a missing value."""
    return [None if np.isnan(v) else float(f"{v:.{_DIGITS}g}") for v in row]


def _score(predictor: Predictor, X: Features) -> Floats:
    with threadpool_limits(1, user_api="blas"):
        return predictor.probability(X)


def check(ws: Workspace, folder: Path, sample: Path) -> int:
    """Raise SecurityRefusal if a model does not reproduce its known scores; return the number of rows.

    Scores must be equal bit for bit, or within 1e-6 if the processor or uv.lock differs.
    """
    result = _in_a_process(folder.resolve(), sample.resolve())
    same_kind = result["made_by"] == environment(ws)
    if result["worst"] > (0.0 if same_kind else TOLERANCE):
        raise SecurityRefusal(
            f"{folder}: its scores differ from {sample.name} by up to {result['worst']:.2g};"
            " make or fetch the model again."
        )
    return int(result["rows"])


def _in_a_process(folder: Path, sample: Path) -> Mapping[str, Any]:
    command = python("cll.release.smoke_test", str(folder), str(sample))
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own arguments
    try:
        result = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SecurityRefusal(f"{folder}: can't be loaded in a fresh process: {reason}") from None
    if "says" in result:
        error = CllError(result["says"])
        error.exit_code = int(result["exit_code"])
        raise error
    return result  # type: ignore[no-any-return]


def main(folder: Path, sample: Path) -> dict[str, Any]:
    """Load the model and score the sample rows; return the largest difference from the known scores."""
    recorded = disk.read_json(sample)
    predictor = artifact.load(folder)
    try:
        names, wanted = tuple(recorded["names"]), np.asarray(recorded["scores"], np.float64)
        X = np.asarray(recorded["rows"], np.float32)
        made_by, model_id = recorded["made_by"], recorded["model_id"]
    except (KeyError, TypeError, ValueError):
        raise SecurityRefusal(f"{sample}: not rows with their scores; fetch it again.") from None
    if (names, model_id) != (predictor.names, predictor.model_id) or X.shape != (
        len(wanted),
        len(names),
    ):
        raise SecurityRefusal(f"{sample}: not the rows of the model in {folder}; fetch it again.")
    off = np.abs(_score(predictor, X) - wanted)
    worst = float(off.max()) if len(off) and np.isfinite(off).all() else 1.0
    return {"made_by": made_by, "rows": len(X), "worst": worst}


def _result(words: list[str]) -> dict[str, Any]:
    try:
        return main(Path(words[0]), Path(words[1]))
    except CllError as error:
        return {"says": str(error), "exit_code": error.exit_code}


if __name__ == "__main__":
    print(json.dumps(_result(sys.argv[1:])))  # noqa: T201  the parent reads it
