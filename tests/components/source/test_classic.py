import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter, ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cll.components.source.classic import Classic
from cll.types.tables import SIGNAL_KEYS
from tests.run.draining import chunks, pieces

START = datetime(2026, 1, 1, tzinfo=UTC)
CONF = Path(__file__).parents[3] / "conf" / "source" / "classic.yaml"


def told(source):
    (chunk,) = chunks(source, START + timedelta(days=30))
    return chunk.rows


def accuracies(seed):
    """Return the held-out accuracy of logistic regression and of the true chance."""
    rows = told(Classic(seed=seed))
    X, y = rows.select(Classic().columns.numeric).to_numpy(), rows["outcome"].to_numpy()
    fifth = np.random.default_rng(seed).permutation(len(y)) < 200
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[~fifth], y[~fifth])
    best = (rows["truth_outcome"].to_numpy() > 0.5) == y
    return model.score(X[fifth], y[fifth]), best[fifth].mean()


@pytest.mark.parametrize("wrong", [{"noise": 0.6}, {"rows": 0}, {"seed": -1}])
def test_settings_out_of_range_are_refused(wrong):
    written = {k: v for k, v in yaml.safe_load(CONF.read_text()).items() if k != "_target_"}
    with pytest.raises(ValidationError, match=r"greater than or equal|less than or equal"):
        TypeAdapter(Classic).validate_json(json.dumps(written | wrong), strict=True)


def test_the_yaml_holds_the_defaults():
    written = yaml.safe_load(CONF.read_text())
    assert written.pop("_target_") == "cll.components.source.classic.Classic"
    assert TypeAdapter(Classic).validate_json(json.dumps(written), strict=True) == Classic()
    assert set(written) == set(Classic.__dataclass_fields__)


def test_a_chunk_holds_the_columns_it_promises():
    (chunk,) = chunks(Classic(), START)
    columns = Classic().columns
    promised = [*SIGNAL_KEYS, *columns.numeric, "outcome", "outcome_known_at", *columns.truth]
    assert chunk.rows.columns == [*promised, "file", "row"]
    assert chunk.records == chunk.rows.height == 1000
    assert chunk.rejects.is_empty()


def test_runs_are_of_entities_of_their_own_a_minute_apart_and_known_at_once():
    rows = told(Classic())
    assert rows["entity"].n_unique() == 1000
    assert rows["time"].diff().drop_nulls().unique().to_list() == [timedelta(minutes=1)]
    assert rows["time"].equals(rows["known_at"])
    assert rows["time"].equals(rows["outcome_known_at"])


def test_without_noise_the_outcome_is_the_threshold_rule():
    rows = told(Classic(noise=0.0))
    over = sum(
        (rows[name] > bound).cast(int)
        for name, bound in zip(Classic().columns.numeric, (65, 65, 0.08, 1.3), strict=True)
    )
    assert rows["outcome"].to_list() == (over >= 2).cast(float).to_list()
    assert rows["truth_outcome"].equals(rows["outcome"].rename("truth_outcome"))


def test_noise_turns_its_share_of_outcomes_round():
    rows = told(Classic(rows=20_000, noise=0.1))
    wrong = (rows["truth_outcome"] > 0.5).cast(float) != rows["outcome"]
    assert wrong.mean() == pytest.approx(0.1, abs=0.01)


def test_the_same_seed_is_the_same_table_and_another_is_another():
    assert told(Classic()).equals(told(Classic()))
    assert not told(Classic()).equals(told(Classic(seed=8)))


def test_logistic_regression_reaches_82_percent_with_room_and_stays_below_the_best():
    logistic, best = accuracies(Classic().seed)
    assert 0.85 < logistic < best


def test_logistic_regression_reaches_82_percent_for_other_seeds_too():
    scores = np.array([accuracies(seed) for seed in range(20)])
    assert scores[:, 0].min() >= 0.82
    assert scores[:, 0].mean() > 0.88
    assert scores[:, 1].mean() > scores[:, 0].mean() + 0.02


def test_it_reads_no_files():
    assert Classic().reads == ()


def test_the_same_runs_are_one_piece_whatever_is_known():
    (early,), (late,) = pieces(Classic(), START), pieces(Classic(), START + timedelta(days=9))
    (other,) = pieces(Classic(seed=8), START)
    assert early.key == late.key != other.key
