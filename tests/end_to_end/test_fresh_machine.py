"""The README's first screen, on a machine that has python3, pip, make and git, and no uv."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, clone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A clean clone, and a PATH on which nothing of this project's environment is found."""
    folder = tmp_path_factory.mktemp("fresh")
    tools = folder / "bin"
    tools.mkdir()
    for name in ("python3", "git", "make", "sh", "bash"):
        found = shutil.which(name, path=_elsewhere(os.environ["PATH"]))
        (tools / name).symlink_to(os.path.realpath(found) if name == "python3" else found)
    project = clone(folder / "project")
    project.env = {k: v for k, v in project.env.items() if not k.startswith(("VIRTUAL_ENV", "UV_"))}
    project.env["PATH"] = f"{tools}:/usr/bin:/bin"
    return project


def _elsewhere(path):
    inside = str(ROOT)
    return os.pathsep.join(p for p in path.split(os.pathsep) if not p.startswith(inside))


@pytest.fixture(scope="module")
def ran(machine):
    before = machine.read("metrics.json")
    return before, machine.run("make", "run")


def test_no_uv_is_on_the_fresh_machine(machine):
    assert shutil.which("uv", path=machine.env["PATH"]) is None


def test_make_run_shows_metrics_verdict_and_where_things_lie(machine, ran):
    _, output = ran
    for word in ("roc auc", "best possible roc auc", "verdict", "report.html", "models/candidate"):
        assert word in output
    assert (machine.folder / "reports" / "report.html").is_file()


def test_a_clean_clone_gives_the_committed_metrics_to_the_last_digit(machine, ran):
    before, _ = ran
    made_by = json.loads((ROOT / "reports" / "environment.json").read_text())
    here = json.loads(machine.read("reports/environment.json"))
    if made_by == here:
        assert machine.read("metrics.json") == before
        assert machine.run("git", "status", "--porcelain") == ""
    else:  # another kind of processor: the figures agree to 1e-6, as far as six digits tell
        assert _numbers(json.loads(machine.read("metrics.json"))) == pytest.approx(
            _numbers(json.loads(before)), abs=2e-6
        )


@pytest.mark.usefixtures("ran")
def test_a_second_run_has_nothing_to_do(machine):
    assert "Running stage" not in machine.run("make", "run")


@pytest.mark.usefixtures("ran")
def test_byte_code_is_compiled(machine):
    packages = next((machine.folder / ".venv" / "lib").glob("python3.*")) / "site-packages"
    assert list((packages / "polars" / "__pycache__").glob("*.pyc"))


def test_the_readme_names_the_two_commands():
    first_screen = Path(ROOT / "README.md").read_text().splitlines()[:40]
    assert any(line.startswith("make run") for line in first_screen)
    assert any(line.startswith("make check") for line in first_screen)


@pytest.mark.usefixtures("ran")
def test_make_check_has_its_tools_there(machine, monkeypatch):
    # All of its tests run in CI's own clean clone; here it is about what they run with.
    monkeypatch.setitem(
        machine.env, "PYTEST_ADDOPTS", "tests/system/test_disk.py tests/end_to_end/test_pipeline.py"
    )
    machine.run("make", "check")


def _numbers(tree):
    if isinstance(tree, dict):
        return [n for key in sorted(tree) for n in _numbers(tree[key])]
    return [tree] if isinstance(tree, int | float) else []
