from cll.system import manifest
from tests.build import small


def test_predicting_counts_the_records(fleet, tmp_path):
    part = (fleet.signals / manifest.part("2026-01-04")).relative_to(fleet.root)
    out = tmp_path / "scores.csv"
    result = small.cll(fleet.root, "predict", str(part), "--out", str(out))
    assert result.code == 0
    rows = len(out.read_text().splitlines()) - 1
    counts = f"{rows:,} in = {rows:,} kept + 0 quarantined + 0 duplicate + 0 pending"
    assert result.out == f"{out}: {counts}\n"


def test_the_model_is_exported(fleet, tmp_path):
    result = small.cll(fleet.root, "export", "--onnx", str(tmp_path / "out.onnx"))
    assert result.code == 0
    assert (tmp_path / "out.onnx").stat().st_size > 0


def test_a_flipped_byte_of_the_model_is_refused_in_one_line(fleet, tmp_path):
    ws = small.copied(fleet, tmp_path / "project")
    path = ws.candidate / "model.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    result = small.cll(ws.root, "predict", "data/signals", "--out", "a.csv")
    assert result.code == 4
    assert result.err.startswith("cll: models/candidate/model.json: sha256 is ")
    assert result.err.count("\n") == 1
