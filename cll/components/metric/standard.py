"""Standard classification metrics of weighted rows; NaN where a metric is not defined."""

import numpy as np

from cll.pipeline.evaluate.statistics.ranking import equal_bins, precision_area, roc_area
from cll.types.arrays import Floats, Scored
from cll.types.directions import higher_is_better, lower_is_better

BINS = 15
_TINY = float(np.finfo(np.float64).eps)


@higher_is_better
def accuracy(rows: Scored, weight: Floats) -> float:
    """Return the share of rows whose alert agrees with the label."""
    return _share(weight[rows.alert == (rows.y > 0)].sum(), weight.sum())


@higher_is_better
def balanced_accuracy(rows: Scored, weight: Floats) -> float:
    """Return the mean of the true positive rate and the true negative rate."""
    hits, alerts, positives = _counts(rows, weight)
    negatives = weight.sum() - positives
    return (_share(hits, positives) + _share(negatives - (alerts - hits), negatives)) / 2


@higher_is_better
def roc_auc(rows: Scored, weight: Floats) -> float:
    """Return the chance that a positive row ranks above a negative one; equal scores count half."""
    return roc_area(rows, weight)


@higher_is_better
def average_precision(rows: Scored, weight: Floats) -> float:
    """Return the mean precision over the steps of the recall; rows with equal scores are one step."""
    return precision_area(rows, weight)


@lower_is_better
def brier(rows: Scored, weight: Floats) -> float:
    """Return the mean squared error of the probability."""
    return _share(np.sum(weight * (rows.p - rows.y) ** 2), weight.sum())


@lower_is_better
def log_loss(rows: Scored, weight: Floats) -> float:
    """Return the mean negative log-likelihood of the labels, in nats."""
    of_outcome = np.abs(1.0 - rows.y - rows.p)
    surprise = -np.log(np.clip(of_outcome, _TINY, 1.0 - _TINY))
    return _share(np.sum(weight * surprise), weight.sum())


@lower_is_better
def calibration_error(rows: Scored, weight: Floats) -> float:
    """Return the mean gap of probability and frequency, over 15 bins of equally many rows (ECE).

    Bins of equal width would put nearly all rows of a rare failure into one bin.
    """
    if not len(rows.p):
        return float("nan")
    gaps = np.add.reduceat(weight * (rows.p - rows.y), equal_bins(rows.p, BINS))
    return _share(np.sum(np.abs(gaps)), weight.sum())


@higher_is_better
def precision(rows: Scored, weight: Floats) -> float:
    """Return the share of alerts that were right; NaN if there is no alert."""
    hits, alerts, _ = _counts(rows, weight)
    return _share(hits, alerts)


@higher_is_better
def recall(rows: Scored, weight: Floats) -> float:
    """Return the share of positive rows with an alert."""
    hits, _, positives = _counts(rows, weight)
    return _share(hits, positives)


@higher_is_better
def f1(rows: Scored, weight: Floats) -> float:
    """Return the harmonic mean of precision and recall."""
    hits, alerts, positives = _counts(rows, weight)
    return _share(2 * hits, alerts + positives)


@higher_is_better
def kappa_temporal(rows: Scored, weight: Floats) -> float:
    """Return the accuracy gained over the no-change classifier, as a share of its error rate.

    The no-change classifier predicts the entity's last known label; rows without a known label are
    left out. Below 0 the model is worse than that classifier. Source: Zliobaite et al. 2015,
    kappa-temporal statistic.
    """
    positive, comparable = rows.y > 0, ~np.isnan(rows.unchanged)
    whole = weight[comparable].sum()
    right = _share(weight[comparable & (rows.alert == positive)].sum(), whole)
    same = _share(weight[comparable & ((rows.unchanged > 0) == positive)].sum(), whole)
    return _share(right - same, 1.0 - same)


def _counts(rows: Scored, weight: Floats) -> tuple[float, float, float]:
    """Return the weight of right alerts, of all alerts, and of all positive rows."""
    alerts, positive = weight[rows.alert], rows.y > 0
    hits = alerts[positive[rows.alert]]
    return float(hits.sum()), float(alerts.sum()), float(weight[positive].sum())


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole > 0 else float("nan")
