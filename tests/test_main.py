import json
import shutil
import subprocess
import sys

import pytest

from cll.system import disk, manifest
from cll.types.errors import from_os_error
from tests.build import small
from tests.conftest import ROOT

HEAVY = ("sklearn", "lightgbm", "hydra", "dvc", "polars", "numpy", "omegaconf")
COMMANDS = [
    "compose",
    "diff",
    "doctor",
    "export",
    "gate",
    "ingest",
    "predict",
    "registry",
    "release",
    "rollback",
    "run",
    "show",
    "tick",
    "verify",
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return small.fleet(tmp_path_factory)


@pytest.fixture
def folder(tmp_path):
    return small.project(tmp_path / "project").root


def imported(*words):
    code = (
        "import sys\nfrom cll.__main__ import main\n"
        f"sys.argv = {['cll', *words]!r}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["predict", "--help"],
        ["diff", "--help"],
        ["release", "--help"],
    ],
)
def test_help_imports_nothing_heavy(words):
    assert imported(*words).isdisjoint(HEAVY)


def test_every_command_stands_in_the_help(tmp_path):
    said = small.cll(tmp_path, "--help")
    assert said.code == 0
    for command in COMMANDS:
        assert f" {command} " in said.out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show"], 6, "cll: metrics.json: not there yet; run `dvc repro` first.\n"),
        (
            ["show", "nowhere"],
            6,
            "cll: nowhere/metrics.json: not there yet; run `dvc repro` first.\n",
        ),
        (["gate"], 6, "cll: reports/verdict.json: not there yet; run `dvc repro` first.\n"),
        (["verify", "run"], 6, "cll: metrics.json, models/candidate: missing; "),
        (["export", "--onnx", "a.onnx"], 6, "cll: models/candidate: no model is there; "),
        (["predict", "no.csv", "--out", "a.csv"], 6, "cll: no.csv: no such file or folder.\n"),
        (["predict", "no.csv", "--out", "a.xls"], 2, "cll: --out=a.xls: name a .parquet or"),
        (["predict", "dvc.yaml", "--out", "a.csv", "--model", "x"], 6, "cll: x: no model is there"),
        (["compose", "--check"], 2, "cll: resolved.yaml: stale; "),
    ],
)
def test_a_refusal_is_one_line_and_a_code(folder, words, code, says):
    said = small.cll(folder, *words)
    assert said.code == code
    assert said.err.startswith(says)
    assert said.err.count("\n") == 1


def test_an_unknown_command_is_a_usage_error(folder):
    assert small.cll(folder, "display").code == 2


def test_debug_shows_the_traceback_and_then_the_line(folder):
    said = small.cll(folder, "show", "--debug")
    assert said.code == 6
    assert said.err.startswith("Traceback (most recent call last):\n")
    assert said.err.endswith("cll: metrics.json: not there yet; run `dvc repro` first.\n")


@pytest.mark.parametrize("words", [["--quiet", "run"], ["run", "--quiet"]])
def test_quiet_says_nothing_of_how_it_goes_wherever_it_stands(folder, words):
    said = small.cll(folder, *words, "source=classic", "features=kpi", "label=incident")
    assert said.code == 3
    assert "ingest:" not in said.err
    assert said.err.count("\n") == 1


def test_composing_writes_what_the_stage_would(folder):
    assert small.cll(folder, "compose").code == 0
    assert small.cll(folder, "compose", "--check").code == 0


@pytest.mark.parametrize(
    ("answer", "code"), [("promote", 0), ("reject", 10), ("not enough evidence", 11)]
)
def test_the_gates_answer_is_an_exit_code(folder, answer, code):
    (folder / "dvc.yaml").unlink()  # nothing that could have changed
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=folder, check=True)
    verdict = {"answer": answer, "model_id": "0a", "champion": "none", "rules": []}
    disk.write_json(folder / "reports" / "verdict.json", verdict)
    assert small.cll(folder, "gate").code == code


def test_the_result_of_a_project_is_shown(fleet):
    said = small.cll(fleet.root, "show")
    assert said.code == 0
    assert said.err.startswith("stale: `dvc status` can't tell what changed: you are not inside")
    assert said.out.splitlines()[-3:] == [
        "model    models/candidate",
        "report   reports/report.html",
        "metrics  metrics.json",
    ]


def test_predicting_counts_what_came_of_the_records(fleet, tmp_path):
    part = (fleet.signals / manifest.part("2026-01-04")).relative_to(fleet.root)
    out = tmp_path / "scores.csv"
    said = small.cll(fleet.root, "predict", str(part), "--out", str(out))
    assert said.code == 0
    rows = len(out.read_text().splitlines()) - 1
    counts = f"{rows:,} in = {rows:,} kept + 0 quarantined + 0 duplicate + 0 pending"
    assert said.out == f"{out}: {counts}\n"


def test_the_model_is_exported(fleet, tmp_path):
    said = small.cll(fleet.root, "export", "--onnx", str(tmp_path / "out.onnx"))
    assert said.code == 0
    assert (tmp_path / "out.onnx").stat().st_size > 0


def test_a_flipped_byte_of_the_model_is_one_line(fleet, tmp_path):
    ws = small.copied(fleet, tmp_path / "project")
    path = ws.candidate / "model.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    said = small.cll(ws.root, "predict", "data/signals", "--out", "a.csv")
    assert said.code == 4
    assert said.err.startswith("cll: models/candidate/model.json: sha256 is ")
    assert said.err.count("\n") == 1


def test_ingest_tells_the_failing_stages_code(folder):
    # No DVC repository: DVC itself refuses, and an earlier refusal is not taken for this one's.
    disk.write_json(folder / "reports" / "refusal.json", {"exit_code": 4})
    said = small.cll(folder, "ingest", "--json")
    assert said.code == 1
    assert said.out == ""
    assert said.err.startswith("cll: `dvc repro ingest` failed: you are not inside of a DVC repo")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("outputs", ["run", *small.CLASSIC], "outputs"),
        (
            "metrics.json",
            ["show"],
            "metrics.json: Is a directory; check the disk and the permissions.",
        ),
        ("multirun", ["run", "-m", *small.CLASSIC], "multirun"),
    ],
)
def test_what_the_disk_refuses_is_one_line(folder, name, words, says):
    if name == "metrics.json":
        (folder / name).mkdir()
    else:
        (folder / name).write_text("")
    said = small.cll(folder, "--quiet", *words)
    assert said.code == 6
    assert said.err.startswith(f"cll: {says}")
    assert said.err.endswith("; check the disk and the permissions.\n")
    assert said.err.count("\n") == 1


def test_a_full_disk_names_no_file():
    error = OSError(28, "No space left on device")
    assert (
        str(from_os_error(error)) == "No space left on device; check the disk and the permissions."
    )


@pytest.mark.slow
def test_files_outside_of_what_dvc_watches_are_ingested_all_the_same(folder):
    (folder / "data" / "raw").mkdir(parents=True)
    shutil.copytree(ROOT / "cll", folder / "cll", ignore=shutil.ignore_patterns("__pycache__"))
    chosen = "source: files\nfeatures: kpi\nlabel: outcome\n"
    way = "set: {source: {files: {path: telemetry, fallback: synthetic}}}\n"
    (folder / "params.yaml").write_text(chosen + way)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=folder, check=True)

    def ingested(*words):
        said = small.cll(folder, "ingest", "--json", *words)
        assert said.code == 0, said.err
        return json.loads(said.out)["in"]

    small.runs_file(folder / "telemetry" / "a.csv", rows=20)
    assert ingested() == 20
    small.runs_file(folder / "telemetry" / "b.csv", rows=9)
    small.runs_file(folder / "telemetry" / "a.csv", rows=30)
    assert small.cll(folder, "ingest", "--json").code == 3
    assert ingested("--accept", "telemetry/a.csv") == 39
    signals = folder / "data" / "signals" / "manifest.json"
    before = signals.stat().st_mtime_ns
    assert ingested() == 39
    assert signals.stat().st_mtime_ns == before
    (folder / "telemetry").rename(folder / "away")
    assert ingested() > 1000
    (folder / "away").rename(folder / "telemetry")
    assert ingested() == 39


def test_an_instant_that_is_none_says_once_how_to_write_one(folder):
    said = small.cll(folder, "verify", "leakage", "--at", "tomorrow")
    assert said.code == 2
    assert said.err == (
        "cll: --at: 'tomorrow' is not an instant; write it like \"2026-01-31T00:00:00Z\".\n"
    )
