import json

from tests.build import small


def test_logistic_regression_reaches_the_classroom_s_accuracy_and_tells_the_gap(tmp_path):
    root = small.project(tmp_path / "project").root
    said = small.cll(root, "run", "experiment=classic")
    assert said.code == 0, said.err
    metrics = json.loads(next(root.glob("outputs/*/*/metrics.json")).read_text())
    assert metrics["data"]["holdout_rows"] == 200
    assert metrics["candidate"]["accuracy"]["value"] >= 0.82
    assert metrics["gap"]["accuracy"] > 0
    assert "best possible accuracy" in said.out + said.err
