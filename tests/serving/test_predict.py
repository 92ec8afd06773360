from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from cll.components.estimator._logistic_columns import ScaledColumn
from cll.components.estimator.logistic import LogisticModel
from cll.model.artifact import Predictor
from cll.serving.predict import predict
from cll.types.errors import DataRefused

MODEL = LogisticModel(
    {
        "cpu": ScaledColumn(0.0, 0.0, 1.0, weight=2.0),
        "errors": ScaledColumn(0.0, 0.0, 1.0, missing_weight=1.0),
    },
    bias=0.0,
    solver={},
)
PREDICTOR = Predictor(MODEL, ("cpu", "errors"), threshold=0.6)


def frame(**columns):
    keys = {"entity": ["a", "b"], "time": [datetime(2026, 1, d, tzinfo=UTC) for d in (1, 2)]}
    return pl.DataFrame(keys | columns)


def test_a_missing_feature_is_named():
    with pytest.raises(DataRefused, match=r"^The features lack errors, which model none reads; "):
        predict(PREDICTOR, frame(cpu=[1.0, 2.0]))


def test_a_frame_without_keys_is_refused():
    with pytest.raises(DataRefused, match="lack entity"):
        predict(PREDICTOR, frame(cpu=[1.0, 2.0], errors=[1.0, 2.0]).drop("entity"))


def test_a_feature_of_text_is_refused():
    with pytest.raises(DataRefused, match=r"these features are none: errors \(String\)\."):
        predict(PREDICTOR, frame(cpu=[1.0, 2.0], errors=["1", "2"]))


def test_many_missing_features_still_make_one_line():
    names = tuple(f"f{i}" for i in range(100))
    with pytest.raises(DataRefused, match="f7 and 92 more") as error:
        predict(Predictor(MODEL, names), frame())
    assert "\n" not in str(error.value)


def test_columns_are_taken_by_name_and_rows_keep_their_order():
    answers = predict(PREDICTOR, frame(errors=[0, 0], other=["x", "y"], cpu=[1.0, -1.0]))
    assert answers.columns == ["entity", "time", "probability", "alert"]
    assert answers["entity"].to_list() == ["a", "b"]
    assert answers["probability"].to_list() == pytest.approx([0.8808, 0.1192], abs=1e-4)
    assert answers["alert"].to_list() == [True, False]


def test_null_is_missing_as_nan_is():
    answers = predict(PREDICTOR, frame(cpu=[0.0, 0.0], errors=[None, np.nan]))
    assert answers["probability"].n_unique() == 1
    assert answers["probability"][0] > 0.7


def test_no_rows_give_no_answers():
    answers = predict(PREDICTOR, frame(cpu=[0.0, 0.0], errors=[0.0, 0.0]).clear())
    assert answers.height == 0
