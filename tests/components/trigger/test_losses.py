import numpy as np
import polars as pl
import pytest
import sklearn.metrics as reference

from cll.components.trigger._losses import LOSSES, scored_labels
from tests.build.situations import rows

FRAME = rows(days=2)
Y, P = FRAME["label"].to_numpy().astype(float), FRAME["p"].to_numpy()


@pytest.mark.parametrize(
    ("metric", "loss"),
    [
        ("roc_auc", 1 - reference.roc_auc_score(Y, P)),
        ("log_loss", reference.log_loss(Y, P)),
        ("brier", reference.brier_score_loss(Y, P)),
        ("accuracy", 1 - reference.accuracy_score(Y, P >= 0.3)),
    ],
)
def test_losses_are_scikit_learns(metric, loss):
    assert LOSSES[metric](Y, P, 0.3) == pytest.approx(loss)


def test_an_auc_of_one_outcome_is_not_defined():
    assert np.isnan(LOSSES["roc_auc"](np.zeros(3), np.ones(3), 0.5))


def test_rows_without_label_or_score_tell_nothing():
    half = FRAME.with_columns(
        status=pl.when(pl.col("entity") == "e0").then(pl.lit("immature")).otherwise("status"),
        p=pl.when(pl.col("entity") != "e1").then("p"),
    )
    y, p = scored_labels(half)
    assert len(y) == len(p) == 0.8 * len(FRAME)
