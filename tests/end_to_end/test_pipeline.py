"""Hold dvc.yaml, and the lists of code that fingerprints read, against the code itself."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
import yaml

from cll.config import catalog, fingerprint, project
from cll.pipeline import stages
from tests.build import small

ROOT = Path(__file__).parents[2]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
GRAPH = grimp.build_graph("cll", cache_dir=None)
LOADED = """
import json, sys
from cll.pipeline import stages
stages.main(sys.argv[1])
print(json.dumps([m for m in sys.modules if m.startswith("cll.")]))
"""
NOT_RUN = {"cll.cli", "cll.__main__"}


def steps(stage):
    """Name the modules that the function of a stage imports, by it and by functions it calls."""
    body = ast.parse((ROOT / "cll" / "pipeline" / "stages.py").read_text()).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    names, seen, waiting = set(), set(), [stage]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            if isinstance(node, ast.Call) and ast.unparse(node.func) in functions.keys() - seen:
                waiting.append(ast.unparse(node.func))
    return names


def closure(modules):
    """Return the modules and all that they import, without packages."""
    names = set(modules).union(*(GRAPH.find_upstream_modules(name) for name in modules))
    return {name for name in names if _path(name).is_file()}


def _path(module):
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def hashed(stage, targets):
    return set(fingerprint.files(stage, targets))


def targets_of(stage):
    groups = [group for group in fingerprint.CHOSEN[stage] if group in catalog.COMPONENTS]
    return [target for group in groups for target in catalog.targets(group)]


def listed_params(stage, file):
    for entry in PIPELINE[stage].get("params", []):
        if isinstance(entry, dict) and file in entry:
            return {name.partition(".")[0] for name in entry[file]}
    return set()


class Recording(dict):
    """A tree that remembers which of its keys were read."""

    def __init__(self, tree):
        super().__init__(tree)
        self.read = set()

    def __getitem__(self, key):
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        self.read.add(key)
        return super().get(key, default)


@pytest.fixture(scope="module")
def classic(tmp_path_factory):
    ws = small.project(tmp_path_factory.mktemp("pipeline") / "project")
    small.reproduce(ws, small.CLASSIC)
    return ws


def test_the_stages_of_dvc_yaml_are_those_of_the_code_in_their_order():
    assert list(PIPELINE) == ["compose", *stages.STAGES]
    assert list(fingerprint.ROOMS) == list(fingerprint.CHOSEN) == list(stages.STAGES)


def test_dvc_yaml_fits_on_a_screen():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 110


def test_compose_depends_on_all_code_since_it_takes_its_fingerprints():
    assert PIPELINE["compose"]["deps"] == ["cll", "conf"]


@pytest.mark.parametrize("stage", stages.STAGES)
def test_a_stage_depends_on_the_fingerprint_of_its_own_code(stage):
    listed = next(entry["resolved.yaml"] for entry in PIPELINE[stage]["params"])
    assert [name for name in listed if name.startswith("code")] == [f"code.{stage}"]


@pytest.mark.parametrize("stage", stages.STAGES)
def test_a_fingerprint_covers_all_that_a_stage_imports(stage):
    eager = closure(GRAPH.find_modules_directly_imported_by("cll.pipeline.stages") - _steps())
    ground = {name for name in eager if name.split(".")[1] in {"types", "system", "config"}}
    components = {target.rpartition(".")[0] for target in targets_of(stage)}
    needed = closure(steps(stage) | components) | ground
    missing = {name for name in needed if _path(name) not in hashed(stage, targets_of(stage))}
    assert not missing


def _steps():
    return set().union(*(steps(stage) for stage in stages.STAGES))


@pytest.mark.parametrize("stage", stages.STAGES)
def test_a_fingerprint_covers_no_room_that_the_stage_never_enters(stage):
    needed = closure(steps(stage) | {"cll.pipeline.stages"})
    for room in fingerprint.ROOMS[stage]:
        inside = set(fingerprint._python(catalog.PACKAGE / room))
        assert any(_path(name) in inside for name in needed) or room == "components/estimator"


@pytest.mark.parametrize("stage", stages.STAGES)
def test_what_a_stage_loads_is_in_its_fingerprint(classic, stage):
    command = [sys.executable, "-P", "-c", LOADED, stage]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=classic.root, env=env, capture_output=True, text=True, check=True
    )
    tree = project.load_tree(classic)
    groups = fingerprint.CHOSEN[stage]
    chosen = {t for group in groups for t in fingerprint._targets(tree.get(group))}
    loaded = {_path(name) for name in json.loads(done.stdout.splitlines()[-1])}
    # Steps that stages.py imports for another stage's sake, and does not call in this one.
    shared = {_path(name) for name in closure({"cll.pipeline.dataset.labelled"})}
    missing = {path for path in loaded if path.is_file()} - hashed(stage, chosen) - shared
    assert not missing


@pytest.mark.parametrize("stage", stages.STAGES)
def test_a_stage_lists_the_part_of_the_config_that_it_reads(classic, stage, monkeypatch):
    tree = Recording(project.load_tree(classic))
    monkeypatch.chdir(classic.root)
    stages.STAGES[stage](classic, tree, project.load_world(classic))
    assert tree.read - {"code"} <= listed_params(stage, "resolved.yaml")


@pytest.mark.parametrize("stage", stages.STAGES)
def test_every_stage_calls_its_function(stage):
    assert PIPELINE[stage]["cmd"] == f"exec cll stage {stage}"
