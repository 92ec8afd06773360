"""Rules of the house: where modules lie, how long they are, and how they speak."""

import ast
import importlib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(p for p in (ROOT / "cll").rglob("*.py") if p.name != "__init__.py")
PACKAGES = sorted((ROOT / "cll").rglob("__init__.py"))
QUESTIONS = {"What", "Which", "How", "Where", "Whether", "When", "Why"}
BANNED = {
    *("found", "told", "one", "said", "there", "of", "known"),
    *("Judged", "Told", "Answer", "Standing", "Seen"),
}
KEYS = {"model/ledger_entries"}  # the fields of an entry are the keys of the ledger's JSON
SHORT = 4  # lines of a scope in which a banned name is free
# Modules without a test file of their name, by the test file that covers them: they are values
# without behaviour, or parts of a step that is tested as a whole.
COVERED_BY = {
    "components/source/test_synthetic": ("components/source/_fleet", "components/source/_lives"),
    "components/estimator/test_lightgbm": ("components/estimator/_lightgbm_data",),
    "components/estimator/test_logistic": ("components/estimator/_logistic_columns",),
    "config/test_components": ("config/catalog", "config/project", "config/safety"),
    "end_to_end/test_imports": ("system/imports",),
    "experiment/test_adopt": ("experiment/job_config", "config/trees", "config/yaml_loader"),
    "experiment/test_run": (
        *("experiment/command_line", "experiment/hydra_app", "experiment/jobs"),
        "experiment/launcher",
    ),
    "loop/test_ask": ("components/trigger/never", "types/triggers"),
    "loop/test_outcome": ("loop/changes", "vcs/git"),
    "pipeline/compose/test_compose": (
        *("pipeline/compose/override_grammar", "pipeline/compose/row_clock"),
    ),
    "pipeline/compose/test_hydra_limits": ("config/resolvers", "pipeline/compose/hydra_errors"),
    "pipeline/dataset/test_labelled": (
        *("pipeline/dataset/blocks", "pipeline/dataset/holdout", "pipeline/dataset/tables"),
        "types/tables",
    ),
    "pipeline/evaluate/test_evaluate": (
        *("pipeline/evaluate/statistics/scored_holdout", "types/arrays", "types/components"),
    ),
    "pipeline/featurize/test_compute": ("pipeline/featurize/stage",),
    "pipeline/featurize/windows/test_rolling": (
        *(f"pipeline/featurize/windows/{name}" for name in ("block_sums", "inputs", "search")),
    ),
    "pipeline/featurize/windows/test_median_mad": ("pipeline/featurize/windows/running_median",),
    "pipeline/featurize/windows/test_peers": ("pipeline/featurize/windows/peer_rank",),
    "pipeline/gate/test_gate": (
        *("pipeline/gate/champion_rules", "pipeline/gate/figures", "pipeline/gate/stage"),
        "types/verdicts",
    ),
    "pipeline/ingest/readers/test_formats": (
        *(f"pipeline/ingest/readers/{name}" for name in ("casting", "compressed", "csv_quoting")),
        *(f"pipeline/ingest/readers/{name}" for name in ("csv_records", "csv_text", "fields")),
        *(f"pipeline/ingest/readers/{name}" for name in ("json_lines", "json_pattern", "times")),
        *(f"pipeline/ingest/readers/{name}" for name in ("csv_index", "json_records", "records")),
    ),
    "pipeline/ingest/readers/test_streams": (
        *(f"pipeline/ingest/readers/{name}" for name in ("chunks", "documents", "weights")),
    ),
    "end_to_end/test_reader_faults": ("pipeline/ingest/readers/limits",),
    "pipeline/ingest/readers/test_parquet": (
        *("pipeline/ingest/readers/arrow", "pipeline/ingest/readers/parquet_footers"),
    ),
    "pipeline/ingest/readers/test_splitter": (
        *("pipeline/ingest/readers/day_breaks", "pipeline/ingest/readers/last_line"),
    ),
    "pipeline/ingest/test_arrival_log": (
        *("pipeline/ingest/growth", "pipeline/ingest/readers/mapping", "types/records"),
    ),
    "pipeline/ingest/test_stage": (
        *("pipeline/ingest/days", "pipeline/ingest/segments", "pipeline/ingest/schema/enforce"),
        *("pipeline/ingest/pieces", "pipeline/ingest/totals"),
        "maintenance/refresh",
    ),
    "pipeline/report/test_terminal": ("system/console", "vcs/commands"),
    "pipeline/train/test_candidate": ("pipeline/train/update", "types/updates"),
    "release/test_actions": ("release/models", "vcs/staleness"),
    "release/test_publish": ("release/remote",),
    "replay/test_compare": ("replay/job", "replay/log"),
    "replay/test_replay": (
        *("pipeline/dataset/point_in_time", "replay/prequential", "replay/tick_grid"),
    ),
    "review/test_review": ("review/render",),
    "serving/test_predict_files": ("serving/collect",),
    "experiment/test_workers": ("system/cpu",),
    "system/test_disk": ("system/frames",),
    "system/test_partitions": ("system/manifest",),
    "system/test_processes": ("pipeline/input_guard", "system/locks"),
    "vcs/test_repair": ("vcs/echo", "vcs/repro"),
    "end_to_end/test_sweep": ("pipeline/stage_cache",),
    "loop/test_trigger_input": ("types/times",),
}


def name(path):
    return path.relative_to(ROOT / "cll").with_suffix("").as_posix()


def trees():
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


TREES = trees()


def test_the_top_of_the_package_has_at_most_18_names():
    names = {p.name for p in (ROOT / "cll").iterdir()} - {"__init__.py", "__pycache__", "py.typed"}
    assert len(names) <= 18


def test_a_module_has_at_most_250_lines():
    assert [name(p) for p in MODULES if len(p.read_text().splitlines()) > 250] == []


@pytest.mark.parametrize("path", [*MODULES, *PACKAGES], ids=name)
def test_a_header_begins_with_a_noun_or_a_verb(path):
    header = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert header, "it has no header"
    assert header.split()[0].strip(",:") not in QUESTIONS


def test_what_returns_something_says_return_not_say_or_tell():
    bad = [
        f"{name(path)}.{node.name}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and (ast.get_docstring(node) or "-").split()[0] in {"Say", "Tell"}
        and node.returns is not None
        and ast.unparse(node.returns) != "None"
    ]
    assert bad == []


def test_names_say_what_they_hold():
    bound = {name(p): list(banned(t)) for p, t in TREES.items() if name(p) not in KEYS}
    assert {module: names for module, names in bound.items() if names} == {}


def banned(tree):
    """Yield the lines that bind a banned name in a scope of more than a few lines."""
    waiting = [(tree, None)]
    scopes = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp)
    while waiting:
        node, scope = waiting.pop()
        bound = None
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound = node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound = node.id
        elif isinstance(node, ast.arg):
            bound = node.arg
        if isinstance(node, (*scopes, ast.GeneratorExp, ast.DictComp)):
            scope = node
        long = scope is None or scope.end_lineno - scope.lineno > SHORT
        if bound in BANNED and long:
            yield node.lineno, bound
        waiting += [(child, scope) for child in ast.iter_child_nodes(node)]


def test_one_class_name_is_one_thing():
    places = defaultdict(list)
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_a_module_has_a_test_file_of_its_name_or_one_that_covers_it():
    covered = {module for modules in COVERED_BY.values() for module in modules}
    without = {name(path) for path in MODULES if not mirrored(path).is_file()}
    assert without - covered == set()
    assert covered - without == set(), "these have a test file of their name, or are gone"
    assert [test for test in COVERED_BY if not (ROOT / "tests" / f"{test}.py").is_file()] == []


def mirrored(path):
    inner = path.relative_to(ROOT / "cll")
    stem = inner.stem.strip("_")
    return ROOT / "tests" / inner.parent / f"test_{stem}.py"


def test_a_test_lies_where_its_module_lies():
    homes = {mirrored(path) for path in MODULES}
    free = {ROOT / "tests" / place for place in ("end_to_end", "benchmarks")}
    strays = [p for p in (ROOT / "tests").rglob("test_*.py") if p not in homes]
    assert [str(p) for p in strays if p.parent not in free] == []


@pytest.mark.parametrize("path", PACKAGES, ids=name)
def test_a_room_does_no_work_when_it_is_imported(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if path.parent != ROOT / "cll":  # which sets a variable for OpenMP
        assert len(body) == 1
    assert importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
