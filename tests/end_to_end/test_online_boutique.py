import json
from pathlib import Path

import pytest

from cll.config import components
from cll.pipeline.compose import compose
from tests.build import small

DATA = Path(__file__).parents[2] / "../shared/data/online-boutique"
ASKED = ["experiment=online_boutique", f"source.path={DATA.resolve()}"]
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/online-boutique")


def composed(*choices):
    return compose.resolve(small.ROOT / "conf", {}, [*ASKED, *choices])


@pytest.mark.parametrize(
    ("choices", "group", "key", "value"),
    [
        ([], "estimator", "members", 5),
        (["estimator=logistic"], "estimator", "clip", 5.0),
        ([], "features", "transform", "log1p"),
    ],
)
def test_the_experiment_says_its_own_of_each_choice(choices, group, key, value):
    assert composed(*choices)[group][key] == value


def test_another_choice_of_features_takes_none_of_the_settings_of_this_one():
    assert "surprise" not in composed("features=kpi")["features"]


@needs_data
def test_label_columns_are_no_features_and_time_tells_nothing():
    tree = composed()
    source = components.build("source", tree["source"])
    published = set(source.signals.columns.values())
    assert len(source.columns.numeric) == 18
    assert not published & {"fault_active", "fault_type", "ts_epoch_as_published", "ts_epoch"}
    assert not tree["features"]["since_incident"]
    assert not tree["features"]["past_outcomes"]["lags"]


@needs_data
@pytest.mark.slow
def test_the_second_day_by_the_other_estimator_gives_the_published_figures(tmp_path):
    root = small.project(tmp_path / "project", as_of="2026-01-31T00:00:00Z").root
    said = small.cll(root, "run", *ASKED, "estimator=logistic")
    assert said.code == 0, said.err
    metrics = json.loads(next(root.glob("outputs/*/*/metrics.json")).read_text())
    assert (metrics["data"]["holdout_rows"], metrics["data"]["holdout_positives"]) == (2920, 127)
    found = metrics["candidate"]
    assert found["roc_auc"]["value"] == pytest.approx(0.918, abs=5e-3)
    assert found["average_precision"]["value"] == pytest.approx(0.639, abs=0.01)
