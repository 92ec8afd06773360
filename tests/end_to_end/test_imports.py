"""Imports: which modules a stage loads (each costs time in each tick), and from which folders."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.build import small
from tests.conftest import BIN, clone

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
from cll.pipeline import stages
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


COMMANDS = {
    "--help": set(),
    "status": set(),
    "trigger": set(),
    "run --cfg job": {"hydra"},
    "conf": {"hydra"},
}
CLI = """
import json, sys
from cll.__main__ import main
try:
    main()
except SystemExit as done:
    print(json.dumps([done.code or 0, *sorted({n.partition(".")[0] for n in sys.modules})]))
"""


@pytest.mark.parametrize("words", list(COMMANDS))
def test_a_command_that_only_reads_imports_what_it_uses(project, words):
    done = subprocess.run(
        [sys.executable, "-P", "-c", CLI, *words.split()],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    code, *modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    assert HEAVY & set(modules) == COMMANDS[words]


def test_help_imports_none_of_the_packages_that_compute_or_compose():
    done = subprocess.run(
        [sys.executable, "-P", "-c", CLI, "--help"], capture_output=True, text=True, check=True
    )
    modules = set(json.loads(done.stdout.splitlines()[-1])[1:])
    assert modules.isdisjoint({"numpy", "polars", "pyarrow", "yaml", "omegaconf", "pydantic"})


FOREIGN = (
    "cll_private",
    "hydra_plugins/own",
    "hydra_plugins/package/__init__",
    "lightgbm",
    "optuna",
    "queue",
    "sitecustomize",
    "threadpoolctl",
    "typer",
)
MARK = "from pathlib import Path\nPath({marks!r}, __name__).touch()\n"
ENV = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    "PATH": f"{BIN}:{os.environ['PATH']}",
}


def with_foreign_modules(root, marks):
    """Put modules beside dvc.yaml that leave a mark when they are imported."""
    marks.mkdir()
    for name in FOREIGN:
        path = root / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(MARK.format(marks=str(marks)))
    return root


def run(root, *words):
    done = subprocess.run(words, cwd=root, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["stage", "compose"],
        ["stage", "train"],
        ["compose"],
        ["run", *small.CLASSIC],
        ["run", "-m", *small.CLASSIC],
        ["predict", "data/signals", "--out", "scores.csv"],
    ],
)
@pytest.mark.slow
def test_no_module_of_the_project_folder_is_imported(project, tmp_path, words):
    root = Path(shutil.copytree(project, tmp_path / "project"))
    with_foreign_modules(root, tmp_path / "marks")
    run(root, "cll", *words)
    assert list((tmp_path / "marks").iterdir()) == []


@pytest.mark.slow
def test_no_module_of_the_project_folder_is_imported_by_dvc_or_what_it_starts(tmp_path):
    root = small.project(tmp_path / "project").root
    chosen = "source: classic\nfeatures: kpi\nlabel: outcome\nestimator: logistic\nset: {}\n"
    (root / "params.yaml").write_text(chosen)
    shutil.copytree(small.ROOT / "cll", root / "cll", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "data" / "raw").mkdir(parents=True)
    with_foreign_modules(root, tmp_path / "marks")
    run(root, "dvc", "init", "--no-scm", "--quiet")
    for words in (
        ["dvc", "repro"],
        ["cll", "status"],
        ["cll", "show"],
        ["cll", "tick", "--as-of", "2026-01-06T00:00:00Z"],
        ["cll", "verify", "rebuild"],
    ):
        run(root, *words)
        assert list((tmp_path / "marks").iterdir()) == [], words


def test_an_unknown_stage_is_a_usage_error():
    said = subprocess.run(
        ["cll", "stage", "teach"], env=ENV, capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert said.stderr == (
        "cll: stage teach: no such stage; there are: compose, ingest, featurize, train, evaluate, "
        "gate, report.\n"
    )


@pytest.fixture
def source(tmp_path):
    """The source of this package, and a copy that DVC made of it, which has another message."""
    home = tmp_path / "source"
    copy = home / ".dvc" / "tmp" / "exps" / "standalone" / "tmp1"
    for folder in (home, copy):
        for name in ("cll", "hydra_plugins"):
            shutil.copytree(
                small.ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        (folder / "pyproject.toml").touch()
    stages = copy / "cll" / "pipeline" / "stages.py"
    stages.write_text(stages.read_text().replace("no such stage", "no such stage of the copy"))
    return with_foreign_modules(home, tmp_path / "marks"), copy


LOADED = """
import sys
from cll import __main__ as entry
from cll.system import imports
try:
    sys.argv = ["cll", "stage", "none"]
    entry.main()
except SystemExit:
    pass
import hydra.core.plugins
hydra.core.plugins.Plugins.instance()
import cll.types.errors
print(cll.__file__, cll.types.errors.__file__, sys.modules["hydra_plugins.cll_sweeps.grid"].__file__)
try:
    import cll_private
except ImportError:
    print("not found")
"""


def loaded(home, folder):
    """Return what `cll` says in a folder, if it was installed from the source in `home`."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOADED],
        cwd=folder,
        env={**ENV, "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr, done.stdout.splitlines()


def test_in_dvcs_copy_of_the_source_the_code_of_the_copy_runs(source, tmp_path):
    home, copy = source
    said, (files, private) = loaded(home, copy)
    assert "no such stage of the copy" in said
    assert all(Path(file).is_relative_to(copy) for file in files.split())
    assert private == "not found"
    assert {path.name for path in (tmp_path / "marks").iterdir()} <= {"sitecustomize"}


def test_elsewhere_the_code_of_the_source_runs_and_nothing_beside_it(source, tmp_path):
    home, copy = source
    for folder in (home, tmp_path, copy.parent):
        said, (files, private) = loaded(home, folder)
        assert "no such stage;" in said
        assert not any(Path(file).is_relative_to(copy) for file in files.split())
        assert private == "not found"


@pytest.mark.slow
def test_an_experiment_apart_runs_the_code_of_its_own_snapshot(tmp_path):
    project = clone(tmp_path / "project")
    chosen = "source: classic\nfeatures: kpi\nlabel: outcome\nestimator: logistic\nset: {}\n"
    project.write("params.yaml", f"experiment: null\n{chosen}")
    for name, line in {
        "cll/pipeline/featurize/stage.py": 'progress.note(f"derived by {__file__}")\n',
        "hydra_plugins/cll_sweeps/grid.py": 'print(f"plugin {__file__}")\n',
    }.items():
        project.write(name, f"{project.read(name)}\n\n{line}")
    told = project.run("dvc", "exp", "run", "--temp")
    copies = str(project.folder / ".dvc" / "tmp" / "exps")
    assert f"derived by {copies}" in told
    assert f"plugin {copies}" in told
    assert f"plugin {project.folder}/hydra_plugins" not in told
