import gzip
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cll.components.estimator.lightgbm import LightGBM
from cll.components.estimator.logistic import Logistic
from cll.model.artifact import Predictor
from cll.serving.onnx_export import to_onnx
from cll.types.arrays import Matrix
from cll.types.errors import ConfigError

onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")

ELECTRICITY = Path(__file__).parents[2] / "../shared/data/electricity/electricity.csv.gz"
TREES = LightGBM(max_rounds=120, min_data_in_leaf=10)
ESTIMATORS = pytest.mark.parametrize(
    "estimator",
    [TREES, replace(TREES, members=3), Logistic(), Logistic(clip=1.5)],
    ids=["lightgbm", "members", "logistic", "clipped"],
)


def sized(rows=4000):
    """Columns of bytes, epochs, shares and zeros, gaps in two of them, none in the others."""
    chance = np.random.default_rng(0)
    X = np.column_stack(
        [
            chance.lognormal(21, 1, rows),
            1.7e9 + np.arange(rows) * 300.0,
            chance.random(rows),
            chance.integers(-1, 2, rows),
            chance.normal(size=rows) * 1e-30,
            np.full(rows, 5.0),
        ]
    ).astype(np.float32)
    odds = (X[:, 0] > 1.5e9) * 2 + (X[:, 1] > 1.7006e9) * 2 + X[:, 3] - 3
    X[::7, 0] = X[1::11, 2] = np.nan
    y = (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    return Matrix(X, y, ("bytes", "epoch", "share", "sign", "tiny", "constant"))


def session(predictor):
    return onnxruntime.InferenceSession(to_onnx(predictor), providers=["CPUExecutionProvider"])


def fitted(estimator, rows):
    return Predictor(estimator(rows, 1, rounds=120), rows.names, 1.3, -0.4, 0.35)


def assert_equal(predictor, X):
    probability, alert = session(predictor).run(None, {"features": X})
    expected = predictor.probability(X)
    assert np.abs(probability - expected).max() <= 1e-5
    assert alert.tolist() == predictor.alert(expected).tolist()


def edges(predictor, X):
    """Rows on each threshold of the trees, and on the float32 above and below it."""
    (text,) = predictor.model.texts
    splits = [
        (int(f), np.float32(t))
        for block in text.split("\nTree=")[1:]
        for f, t in zip(
            block.split("split_feature=")[1].split("\n")[0].split(),
            block.split("threshold=")[1].split("\n")[0].split(),
            strict=True,
        )
    ]
    rows = np.repeat(X[:1], 3 * len(splits), axis=0)
    for i, (feature, bound) in enumerate(splits):
        near = [np.nextafter(bound, np.float32(-np.inf)), bound, np.nextafter(bound, np.inf)]
        rows[3 * i : 3 * i + 3, feature] = np.array(near, np.float32)
    return rows


def test_a_model_without_an_onnx_form_is_refused():
    class Stranger:
        def parts(self):
            return {}, {}

    with pytest.raises(ConfigError, match=r"has no ONNX form; there are: lightgbm, logistic\.$"):
        to_onnx(Predictor(Stranger(), ()))


def test_without_the_extra_the_way_to_get_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"^onnx: not installed; `uv sync --extra onnx`"):
        to_onnx(fitted(Logistic(), sized(100)))


def test_a_split_that_sends_zero_with_the_missing_is_refused():
    predictor = fitted(TREES, sized())
    text = re.sub(r"decision_type=\d+", "decision_type=4", predictor.model.texts[0])
    with pytest.raises(ConfigError, match="by category or zero have no ONNX form"):
        to_onnx(replace(predictor, model=replace(predictor.model, texts=(text,))))


def test_a_split_by_category_is_refused():
    predictor = fitted(TREES, sized())
    text = predictor.model.texts[0].replace("num_cat=0", "num_cat=1", 1)
    with pytest.raises(ConfigError, match="categorical or linear trees have no ONNX form"):
        to_onnx(replace(predictor, model=replace(predictor.model, texts=(text,))))


@ESTIMATORS
def test_probabilities_are_equal_on_bytes_epochs_and_gaps(estimator):
    rows = sized()
    assert_equal(fitted(estimator, rows), rows.X)


@ESTIMATORS
def test_gaps_and_extremes_that_training_never_saw_are_equal_too(estimator):
    rows = sized()
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3.4e38, -3.4e38, 1e-45, 1e-36], np.float32)
    X = np.repeat(rows.X[:6], len(odd) * 6, axis=0)
    for column in range(6):
        X[column :: len(odd) * 6, column] = odd[0]
        for at, value in enumerate(odd):
            X[6 * at + column :: len(odd) * 6, column] = value
    assert_equal(fitted(estimator, rows), X)
    assert_equal(fitted(estimator, rows), np.full((1, 6), np.nan, np.float32))


def test_rows_on_a_threshold_go_the_same_way():
    rows = sized()
    predictor = fitted(TREES, rows)
    assert_equal(predictor, edges(predictor, rows.X))


@ESTIMATORS
def test_a_model_that_learnt_the_share_alone_is_equal(estimator):
    rows = sized()
    flat = replace(rows, X=np.full_like(rows.X, np.nan))
    assert_equal(fitted(estimator, flat), rows.X)


@ESTIMATORS
def test_the_same_model_is_the_same_bytes(estimator):
    rows = sized()
    assert to_onnx(fitted(estimator, rows)) == to_onnx(fitted(estimator, rows))


@pytest.mark.skipif(not ELECTRICITY.exists(), reason="../shared/data/electricity is not there")
@ESTIMATORS
def test_probabilities_are_equal_on_all_of_electricity(estimator):
    with gzip.open(ELECTRICITY) as file:
        table = pl.read_csv(file.read())
    y = table["class"].to_numpy().astype(float)
    X = table.drop("class").cast(pl.Float32).to_numpy(order="c")
    assert_equal(fitted(estimator, Matrix(X, y, tuple(table.columns[:-1]))), X)


@pytest.mark.parametrize("go_on", ["warm", "step"])
@pytest.mark.parametrize("estimator", [TREES, Logistic()], ids=["lightgbm", "logistic"])
def test_a_model_that_went_on_from_another_is_equal(estimator, go_on):
    rows = sized()
    base = estimator(rows, 1, rounds=20)
    more = {"rounds": 30} if go_on == "warm" else {}
    model = getattr(estimator, go_on)(base, replace(rows, y=1 - rows.y), 1, **more)
    assert model != base
    assert_equal(Predictor(model, rows.names, 1.3, -0.4, 0.35), rows.X)
