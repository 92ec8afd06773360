"""What a stage imports: a second of imports is a second of each tick."""

import json
import subprocess
import sys

import pytest

from tests import small

HEAVY = {"sklearn", "lightgbm", "numba", "hydra", "dvc", "altair", "optuna"}
ALLOWED = {
    "ingest": set(),
    "featurize": set(),  # of features=kpi: loops are compiled for windows
    "train": {"sklearn"},  # of estimator=logistic
    "evaluate": set(),
    "gate": set(),
    "report": {"altair"},
}
SCRIPT = """
import json, sys
from cll import stages
stages.main(sys.argv[1])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    ws = small.project(tmp_path_factory.mktemp("imports") / "project")
    small.reproduce(ws, small.CLASSIC)
    return ws.root


@pytest.mark.parametrize("stage", list(ALLOWED))
def test_a_stage_imports_what_it_uses(project, stage):
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(small.ROOT)!r})\n{SCRIPT}",
    ]
    done = subprocess.run(
        [*command, stage], cwd=project, capture_output=True, text=True, check=True
    )
    found = set(json.loads(done.stdout.splitlines()[-1]))
    assert found & HEAVY == ALLOWED[stage], done.stderr
