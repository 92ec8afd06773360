import json
from pathlib import Path

import pytest

from cll.pipeline.compose import compose
from tests.build import small

DATA = Path(__file__).parents[2] / "../shared/data/electricity"
GONE = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/electricity is not there")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("electricity") / "project"
    return small.project(folder, as_of="2026-01-31T00:00:00Z").root


def judged(root, *choices):
    """Run the experiment; return its metrics, rules by name, and answer."""
    path = f"source.path={DATA.resolve()}"
    said = small.cll(root, "run", "experiment=electricity_ahead", path, *choices)
    assert said.code == 0, said.err
    newest = max(root.glob("outputs/*/*"))
    verdict = json.loads((newest / "reports" / "verdict.json").read_text())
    rules = {rule["name"]: rule for rule in verdict["rules"]}
    return json.loads((newest / "metrics.json").read_text()), rules, verdict["answer"]


def test_ahead_a_row_does_not_see_its_own_price():
    tree = compose.resolve(small.ROOT / "conf", {}, ["experiment=electricity_ahead"])
    assert "nswprice" in tree["features"]["past_only"]
    assert tree["label"]["_target_"] == "cll.components.label.outcome.Outcome"


@GONE
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_raw_columns_lose_to_no_change_and_are_rejected(root):
    metrics, rules, answer = judged(root, "features=kpi", "estimator=logistic")
    assert metrics["over"]["no_change"]["accuracy"]["high"] < 0
    assert rules["beats.no_change"]["outcome"] == "failed"
    assert answer == "reject"


@GONE
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_known_beforehand_beats_no_change_and_is_promoted(root):
    metrics, rules, answer = judged(root)
    assert metrics["data"]["holdout_rows"] == 11_328
    assert metrics["baseline"]["no_change"]["accuracy"] == pytest.approx(0.8498, abs=5e-4)
    assert metrics["candidate"]["accuracy"]["value"] > 0.865
    assert metrics["over"]["no_change"]["accuracy"]["low"] > 0
    assert rules["leak.column"]["outcome"] == "passed"
    # The row's own price would be the answer, and near all rows right.
    assert metrics["candidate"]["roc_auc"]["value"] < 0.96
    assert answer == "promote"


def replayed(root, *choices):
    """Replay the experiment; return what replay.json says."""
    path = f"source.path={DATA.resolve()}"
    words = ["experiment=electricity", path, "hydra.run.dir=outputs/out", *choices]
    said = small.cll(root, "replay", *words)
    assert said.code == 0, said.err
    return json.loads((root / "outputs" / "out" / "replay.json").read_text())


def test_a_delay_in_rows_holds_for_the_label_and_for_what_features_know_of_it():
    overrides = ["experiment=electricity", "label.delay=48"]
    tree = compose.resolve(small.ROOT / "conf", {}, overrides)
    assert tree["label"]["delay"] == tree["features"]["past_outcomes"]["delay"] == "1d"


@GONE
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("choices", "accuracy", "no_change"), [((), 0.914, 0.853), (("label.delay=48",), 0.82, 0.656)]
)
def test_the_published_stream_is_predicted_as_it_comes(tmp_path, choices, accuracy, no_change):
    root = small.project(tmp_path / "project", as_of="2026-01-31T00:00:00Z").root
    told = replayed(root, *choices)
    assert told["counts"]["rows"] > 43_000
    assert told["policy"]["accuracy"] >= accuracy
    assert told["no_change"]["accuracy"] == pytest.approx(no_change, abs=5e-3)
    lines = (small.ROOT / "README.md").read_text().splitlines()
    shown = next(line for line in lines if line.startswith("| the loop: logistic on"))
    place = 3 if choices else 2  # labels late, or known with the next row
    assert shown.split("|")[place].strip() == f"{told['policy']['accuracy']:.3f}"[1:]
