import json
import os
import shutil
import subprocess
import sys

import pytest

from cll.config import fingerprint
from cll.pipeline import stages
from cll.types.errors import ConfigError
from tests.build import small

CODES = """
import json, sys
from pathlib import Path
from cll.config import fingerprint
from cll.config.yaml_loader import load_yaml
print(json.dumps(fingerprint.codes(load_yaml(Path(sys.argv[1])))))
"""
ALL = set(stages.STAGES)


@pytest.fixture
def ws(tmp_path):
    return small.project(tmp_path / "project")


@pytest.fixture
def package(tmp_path):
    """Copy the package, so that a test can edit it."""
    home = tmp_path / "home"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(small.ROOT / "cll", home / "cll", ignore=ignored)
    return home


def codes(home, ws):
    """Return each stage's fingerprint by the code in `home`, in a process of its own."""
    command = [sys.executable, "-P", "-c", CODES, str(ws.resolved)]
    env = {**os.environ, "PYTHONPATH": str(home)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("components/features/kpi.py", {"featurize"}),
        ("components/features/windows.py", set()),  # not chosen
        ("components/label/outcome.py", {"train", "evaluate"}),
        ("components/source/classic.py", {"ingest"}),
        ("components/estimator/lightgbm.py", {"train", "evaluate"}),  # the champion may be one
        ("pipeline/featurize/windows/moments.py", {"featurize"}),
        ("pipeline/evaluate/statistics/bootstrap.py", {"train", "evaluate"}),
        ("pipeline/gate/gate.py", {"gate"}),
        ("pipeline/report/report.html", {"report"}),
        ("system/disk.py", ALL),
        ("loop/tick.py", set()),
    ],
)
def test_an_edit_changes_the_fingerprints_of_the_stages_that_can_run_it(ws, package, file, changed):
    small.compose_into(ws, small.CLASSIC)
    before = codes(package, ws)
    with (package / "cll" / file).open("a") as edited:
        edited.write("\n")
    after = codes(package, ws)
    assert {stage for stage in ALL if before[stage] != after[stage]} == changed


def test_line_ends_do_not_count(ws, package):
    small.compose_into(ws, small.CLASSIC)
    before = codes(package, ws)
    path = package / "cll" / "components" / "features" / "kpi.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert codes(package, ws) == before


def test_no_fingerprint_can_be_read_as_a_number(ws):
    tree = small.compose_into(ws, small.CLASSIC)
    assert all(code[0] == "v" for code in tree["code"].values())
    assert set(tree["code"]) == ALL


def test_a_stage_whose_code_is_not_the_composed_one_is_refused(ws):
    tree = small.compose_into(ws, small.CLASSIC)
    fingerprint.refuse_other_code("train", tree)
    other = {**tree, "code": {**tree["code"], "train": "v0"}}
    with pytest.raises(
        ConfigError, match=r"code\.train=v0: .* has changed since; run `cll compose`"
    ):
        fingerprint.refuse_other_code("train", other)
    with pytest.raises(ConfigError, match=r"code\.gate=None"):
        fingerprint.refuse_other_code("gate", {**tree, "code": {}})


def test_components_within_settings_count(ws):
    tree = small.compose_into(ws, [*small.CLASSIC, "update=race"])
    targets = set(fingerprint._targets(tree["update"]))
    assert {target.split(".")[-2] for target in targets} >= {"race", "full", "warm", "online"}


def test_the_environment_is_the_lock_file_and_the_kind_of_processor(ws):
    before = fingerprint.environment(ws)
    (ws.root / "uv.lock").write_text("another")
    after = fingerprint.environment(ws)
    assert before["cpu"] == after["cpu"]
    assert before["uv.lock"] != after["uv.lock"]
