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
def tell(tmp_path, capsys):
    left, right = fill(tmp_path / "left"), tmp_path / "right"

    def compare(elsewhere=(), **there):
        fill(right, **there)
        different = sorted(reproduce._differences(left, right))
        code = reproduce._tell(left, right, "2", different, list(elsewhere))
        return code, capsys.readouterr().out

    return compare


def moved(by):
    return {**METRICS, "candidate": {"roc_auc": {"value": round(0.912345 + by, 6)}}}


def test_nothing_to_verify_says_what_to_run(tmp_path):
    with pytest.raises(Unavailable, match="not there; run `dvc repro` first"):
        reproduce.rerun(small.project(tmp_path / "project").root)


def test_the_same_bytes_are_said_so(tell):
    code, said = tell()
    assert code == 0
    assert said.startswith("2 threads: the same bytes (data/signals, ")


def test_one_other_byte_is_a_difference(tell):
    code, said = tell(model=b"modem")
    assert code == 1
    assert said == "2 threads: 1 files differ: models/candidate/model.json.\n"


def test_a_file_that_is_not_there_is_a_difference(tell, tmp_path):
    (tmp_path / "left" / "models" / "candidate" / "model.txt").write_bytes(b"trees")
    code, said = tell()
    assert code == 1
    assert "models/candidate/model.txt" in said


def test_on_another_processor_a_millionth_is_let_pass(tell):
    code, said = tell(elsewhere=["cpu"], metrics=moved(1e-6), model=b"modem")
    assert code == 0
    assert "another cpu than the one that made them, so only 1e-6 is a fair test" in said


def test_on_another_processor_more_than_a_millionth_is_not(tell):
    code, said = tell(elsewhere=["cpu", "uv.lock"], metrics=moved(2e-6))
    assert code == 1
    assert "another cpu and uv.lock than the one" in said
    assert "the metrics differ by 2e-06 at most" in said


def test_on_another_processor_other_keys_are_a_difference(tell):
    assert tell(elsewhere=["cpu"], metrics={**METRICS, "bayes": {"roc_auc": 1.0}})[0] == 1


def test_a_rerun_in_a_folder_of_its_own_is_the_same_bytes(tmp_path, monkeypatch, tmp_path_factory):
    fleet = small.fleet(tmp_path_factory)
    monkeypatch.chdir(fleet.root)
    reproduce.main(str(tmp_path), list(reproduce.stages.STAGES))
    assert list(reproduce._differences(fleet.root, tmp_path)) == []


@pytest.mark.slow
def test_the_command_proves_the_promise_and_finds_a_breach(tmp_path):
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
