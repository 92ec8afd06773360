"""dvc.yaml says what each stage reads; here it is held against the code itself."""

import ast
from pathlib import Path

import grimp
import pytest
import yaml

from cll.config import catalog
from cll.pipeline import stages

ROOT = Path(__file__).parents[2]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
GRAPH = grimp.build_graph("cll", cache_dir=None)
WIRING = (
    "stages",
    "intake",
    "derive",
    "dataset",
    "candidate",
    "evaluation",
    "verdict",
)  # modules of functions that call each other by name
LAZY = {
    "admission",
    "intake",
    "derive",
    "train",
    "evaluate",
    "gate",
    "report",
    "artifact",
    "shelf",
    "compose",
    "candidate",
    "evaluation",
    "verdict",
}


def functions():
    found = {}
    for module in WIRING:
        for node in ast.parse((ROOT / "cll" / f"{module}.py").read_text()).body:
            if isinstance(node, ast.FunctionDef):
                name = node.name if module == "stages" else f"{module}.{node.name}"
                found[name] = node
    return found


FUNCTIONS = functions()


def uses(name, seen=()):
    """Name the modules and component packages that a function of the wiring can run."""
    modules, groups = set(), set()
    prefix = name.rpartition(".")[0]
    for node in ast.walk(FUNCTIONS[name]):
        if isinstance(node, ast.ImportFrom) and node.module == "cll":
            modules |= {alias.name for alias in node.names}
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called == "config.build":
            groups.add(ast.literal_eval(node.args[0]))
        inner = called if called in FUNCTIONS else f"{prefix}.{called}"
        if inner in FUNCTIONS and inner not in {name, *seen}:
            more_modules, more_groups = uses(inner, (*seen, name))
            modules |= more_modules
            groups |= more_groups
    return modules, groups


def closure(modules):
    names = {f"cll.{m}" for m in modules}
    return names.union(*(GRAPH.find_upstream_modules(n) for n in names)) if names else set()


def expected_code(stage):
    modules, groups = uses(stage)
    packages = {g for g in groups if g in catalog.COMPONENTS}
    settings = {catalog.SETTINGS[g].split(".")[1] for g in groups if g in catalog.SETTINGS}
    if "artifact" in modules:
        packages.add("estimator")
    eager = {"stages", "workspace"} | {
        m.removeprefix("cll.")
        for m in GRAPH.find_modules_directly_imported_by("cll.pipeline.stages")
        if m.removeprefix("cll.") not in LAZY
    }
    inside = {m for p in packages for m in GRAPH.find_descendants(f"cll.{p}")}
    needed = closure((modules | settings | eager) - {"stages"})
    needed |= {"cll.pipeline.stages"}.union(*(GRAPH.find_upstream_modules(m) for m in inside))
    files = {_path(m) for m in needed if m.split(".")[1] not in catalog.COMPONENTS}
    return sorted(files | {f"cll/{p}" for p in packages})


def _path(module):
    """A package is one dependency: its files belong together."""
    first = ROOT / "cll" / module.split(".")[1]
    return f"cll/{first.name}" if first.is_dir() else f"cll/{first.name}.py"


def expected_params(stage):
    _, groups = uses(stage)
    inside = {"ingest": "intake.ingest", "featurize": "derive.featurize"}.get(stage, stage)
    source = ast.unparse(FUNCTIONS[inside])
    plain = {key for key in ("choices", "seed", "fallback") if f"tree['{key}']" in source}
    return groups | plain


def listed_params(stage, file):
    for entry in PIPELINE[stage].get("params", []):
        if isinstance(entry, dict) and file in entry:
            return {name.partition(".")[0] for name in entry[file]}
    return set()


def test_the_stages_of_dvc_yaml_are_those_of_the_code_in_their_order():
    assert list(PIPELINE) == ["compose", *stages.STAGES]


@pytest.mark.parametrize("stage", stages.STAGES)
def test_a_stage_lists_the_code_that_it_can_run_and_no_more(stage):
    listed = [dep for dep in PIPELINE[stage]["deps"] if dep.startswith("cll")]
    assert listed == expected_code(stage)


def test_compose_depends_on_all_code_since_it_checks_against_all_annotations():
    assert PIPELINE["compose"]["deps"] == ["cll", "conf"]


@pytest.mark.parametrize("stage", stages.STAGES)
def test_a_stage_lists_the_part_of_the_config_that_it_reads(stage):
    assert expected_params(stage) <= listed_params(stage, "resolved.yaml")


@pytest.mark.parametrize("stage", stages.STAGES)
def test_every_stage_calls_its_function(stage):
    assert PIPELINE[stage]["cmd"] == f"exec cll stage {stage}"
