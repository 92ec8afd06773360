import json
import shutil
import subprocess
import sys

import pytest

from cll.system import disk
from tests.build import small
from tests.conftest import ROOT


def test_ingest_exits_with_the_code_of_the_failing_stage(folder):
    # No DVC repository: DVC itself refuses, and an earlier refusal is not taken for this one's.
    disk.write_json(folder / "reports" / "refusal.json", {"exit_code": 4})
    result = small.cll(folder, "ingest", "--json")
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("cll: `dvc repro ingest` failed: you are not inside of a DVC repo")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("other", [["--mended", "b"], ["--reason", "r"], ["--json"]])
def test_an_export_of_the_quarantine_excludes_other_options(folder, other):
    result = small.cll(folder, "quarantine", "--export", "a", *other)
    assert result.code == 2
    assert result.err.startswith("cll: --export, --mended: each excludes all other options; ")


@pytest.mark.slow
def test_files_that_dvc_does_not_watch_are_ingested_too(folder):
    (folder / "data" / "raw").mkdir(parents=True)
    shutil.copytree(ROOT / "cll", folder / "cll", ignore=shutil.ignore_patterns("__pycache__"))
    chosen = "source: files\nfeatures: kpi\nlabel: outcome\n"
    way = "set: {source: {files: {path: telemetry, fallback: synthetic}}}\n"
    (folder / "params.yaml").write_text(chosen + way)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=folder, check=True)

    def ingested(*words):
        result = small.cll(folder, "ingest", "--json", *words)
        assert result.code == 0, result.err
        return json.loads(result.out)["in"]

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
