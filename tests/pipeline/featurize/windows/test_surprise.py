from datetime import timedelta

import numpy as np
import pytest

from cll.pipeline.featurize.windows import rolling, surprise
from cll.pipeline.featurize.windows.surprise import Summary, Surprise
from cll.types.errors import ConfigError

MINUTE = 60_000_000
HOUR = timedelta(hours=1)


def rows(count: int) -> rolling.Rows:
    """One entity, a row a minute."""
    return rolling.Rows(np.zeros(count, np.int64), np.arange(count) * MINUTE)


def z(values: list[float], **settings: object) -> np.ndarray:
    x = np.array(values, float)
    (score,) = surprise.scores(rows(len(x)), {"x": x}, Surprise(**settings))
    return score.z


def noise(count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(5, 1, count)
    x[rng.random(count) < 0.2] = np.nan
    return x


@pytest.mark.slow
def test_a_score_is_the_distance_from_the_strict_past_in_its_scales():
    x = noise()
    features = z(x.tolist(), mean=(timedelta(minutes=10),), median=(), floor=0.0)
    robust = z(x.tolist(), median=(timedelta(minutes=10),), floor=0.0)
    for i in range(len(x)):
        past = x[max(i - 9, 0) : i]
        past = past[~np.isnan(past)]
        if len(past) < 5 or np.isnan(x[i]):
            assert np.isnan(features[i])
            assert np.isnan(robust[i])
            continue
        np.testing.assert_allclose(features[i], (x[i] - past.mean()) / past.std(ddof=1), rtol=1e-9)
        spread = 1.4826 * np.median(np.abs(past - np.median(past)))
        np.testing.assert_allclose(robust[i], (x[i] - np.median(past)) / spread, rtol=1e-9)


def test_the_floor_is_the_least_scale():
    assert z([1, 1, 1, 1, 1, 2], floor=0.05)[-1] == 20
    assert np.isnan(z([1, 1, 1, 1, 1, 2], floor=0.0)[-1])


def test_surprise_grows_with_a_deviation_either_way():
    np.testing.assert_allclose(
        surprise.log_size(np.array([-3.0, 0, 3, np.nan])),
        [np.log(4), 0, np.log(4), np.nan],
        atol=1e-9,
    )


def test_a_summary_is_over_the_columns_that_are_there_and_lags_within_reach():
    x = np.array([1.0, 1, 1, 1, 1, 2])
    values = {"a": x, "b": np.where(x == 2, np.nan, x), "c": np.ones(6)}
    settings = Surprise(summary=Summary(clip=10.0, above=3.0, lags=(1, 2)), floor=0.05)
    scores = surprise.scores(rows(6), values, settings)
    features = dict(surprise.summary_features(rows(6), scores, settings, 2 * MINUTE))
    assert features["row_surprise_share"][-1] == 0.5
    np.testing.assert_allclose(features["row_surprise_max"][-1], np.log(11))
    np.testing.assert_allclose(features["row_surprise_mean"][-1], np.log(11) / 2)
    assert np.isnan(features["row_surprise_mean"][4])
    late = rolling.Rows(np.zeros(7, np.int64), np.append(np.arange(6), 8) * MINUTE)
    longer = {name: np.append(v, 1.0) for name, v in values.items()}
    scores = surprise.scores(late, longer, settings)
    features = dict(surprise.summary_features(late, scores, settings, 2 * MINUTE))
    assert np.isnan(features["row_surprise_share_lag_1"][-1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"median": ()}, r"features.surprise.median=\[\]: name a window"),
        ({"mean": (timedelta(0),)}, r"features.surprise=0: a window is longer"),
        ({"summary": Summary(window=2 * HOUR)}, r"summary.window=2h: name one of median"),
    ],
)
def test_settings_that_cannot_hold_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Surprise(**settings)


def test_a_summary_of_many_columns_is_the_same_to_the_bit_for_a_row_alone():
    z = np.random.default_rng(0).normal(size=(40, 50))
    settings = Summary(statistics=("mean",))
    whole = surprise._over_columns(z, settings)["mean"]
    alone = [surprise._over_columns(z[:, [i]], settings)["mean"][0] for i in range(50)]
    np.testing.assert_array_equal(whole, alone)
