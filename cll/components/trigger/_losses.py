"""Losses of the champion's scores against the labels that became known."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from cll.pipeline.evaluate.statistics.ranking import rank, roc_area
from cll.types.arrays import Floats

_TINY = float(np.finfo(np.float64).eps)

ScoredLabels = tuple[Floats, Floats]  # labels and scores
Loss = Callable[[Floats, Floats, float], float]  # a function of labels, scores and threshold


def scored_labels(rows: pl.DataFrame) -> ScoredLabels:
    """Return labels and scores of the rows that have both."""
    both = rows.filter((pl.col("status") == "mature") & pl.col("p").is_not_null())
    return both["label"].cast(pl.Float64).to_numpy(), both["p"].to_numpy()


def _log_loss(y: Floats, p: Floats, threshold: float) -> float:
    del threshold
    return float(-np.log(np.clip(np.abs(1 - y - p), _TINY, 1)).mean())


def _brier(y: Floats, p: Floats, threshold: float) -> float:
    del threshold
    return float(((p - y) ** 2).mean())


def wrong_share(y: Floats, p: Floats, threshold: float) -> float:
    """Return the share of rows whose alert disagrees with the label."""
    return float(((p >= threshold) != (y > 0)).mean())


def _misranked(y: Floats, p: Floats, threshold: float) -> float:
    ranked, _ = rank(y, p, p >= threshold, p)  # p stands in for no-change, which is not used
    return 1 - roc_area(ranked, np.ones(len(p)))


LOSSES: Mapping[str, Loss] = {  # losses are at least 0, higher is worse; NaN if not defined
    "roc_auc": _misranked,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": wrong_share,
}
LACKS_FROM_ONE = frozenset({"roc_auc", "accuracy"})  # metrics whose loss is 1 - metric
