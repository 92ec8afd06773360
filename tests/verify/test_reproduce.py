import json

import pytest

from cll.system import disk
from cll.types.errors import Unavailable
from cll.verify import reproduce
from tests.build import small

METRICS = {"candidate": {"roc_auc": {"value": 0.912345}}, "data": {"rows": 100}}


def fill(folder, metrics=METRICS, model=b"model"):
    disk.write_json(folder / "metrics.json", metrics)
    disk.write_bytes(folder / "models" / "candidate" / "model.json", model)
    disk.write_json(folder / "reports" / "verdict.json", {"answer": "reject"})
    return folder


@pytest.fixture
def compared(tmp_path, capsys):
    left, right = fill(tmp_path / "left"), tmp_path / "right"

    def compare(elsewhere=(), **there):
        fill(right, **there)
        different = sorted(reproduce._differences(left, right))
        code = reproduce._print_run(left, right, "2", different, list(elsewhere))
        return code, capsys.readouterr().out

    return compare


def moved(by):
    return {**METRICS, "candidate": {"roc_auc": {"value": round(0.912345 + by, 6)}}}


def test_without_results_the_error_names_the_command_to_run(tmp_path):
    with pytest.raises(Unavailable, match="missing; run `dvc repro` first"):
        reproduce.rerun(small.project(tmp_path / "project").root)


def test_the_same_bytes_pass(compared):
    code, said = compared()
    assert code == 0
    assert said.startswith("2 threads: the same bytes (data/signals, ")


def test_one_other_byte_is_a_difference(compared):
    code, said = compared(model=b"modem")
    assert code == 1
    assert said == "2 threads: 1 files differ: models/candidate/model.json.\n"


def test_a_missing_file_is_a_difference(compared, tmp_path):
    (tmp_path / "left" / "models" / "candidate" / "model.txt").write_bytes(b"trees")
    code, said = compared()
    assert code == 1
    assert "models/candidate/model.txt" in said


def test_on_another_cpu_a_difference_of_1e_6_passes(compared):
    code, said = compared(elsewhere=["cpu"], metrics=moved(1e-6), model=b"modem")
    assert code == 0
    assert "made with another cpu, so figures need to agree to 1e-6 only" in said


def test_on_another_cpu_a_larger_difference_fails(compared):
    code, said = compared(elsewhere=["cpu", "uv.lock"], metrics=moved(2e-6))
    assert code == 1
    assert "made with another cpu and uv.lock, so" in said
    assert "they differ by at most 2e-06" in said


def test_on_another_cpu_different_keys_fail(compared):
    assert compared(elsewhere=["cpu"], metrics={**METRICS, "bayes": {"roc_auc": 1.0}})[0] == 1


def test_a_rerun_in_a_folder_of_its_own_is_the_same_bytes(tmp_path, monkeypatch, tmp_path_factory):
    fleet = small.fleet(tmp_path_factory)
    monkeypatch.chdir(fleet.root)
    reproduce.main(str(tmp_path), list(reproduce.stages.STAGES))
    assert list(reproduce._differences(fleet.root, tmp_path)) == []


@pytest.mark.slow
def test_the_command_passes_and_then_fails_on_a_changed_metric(tmp_path):
    ws = small.project(tmp_path / "project")
    small.reproduce(ws, small.CLASSIC)
    said = small.cll(ws.root, "verify", "run")
    assert said.code == 0
    assert [line.split(":")[0] for line in said.out.splitlines()] == ["1 thread", "2 threads"]
    metrics = json.loads((ws.root / "metrics.json").read_text())
    metrics["candidate"]["accuracy"]["value"] += 0.000001
    disk.write_json(ws.root / "metrics.json", metrics)
    said = small.cll(ws.root, "verify", "run")
    assert said.code == 1
    assert "1 files differ: metrics.json." in said.out
