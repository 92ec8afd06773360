"""Platt's calibration (1999): from a model's log-odds to probabilities that can be believed."""

import numpy as np

from cll.types.arrays import Floats

DIGITS = 9  # of slope and intercept: coarser than what two CPU families' exp() differ by
STEPS = 100  # Newton's takes some ten; a bisection halves 100 times
HALVINGS = 30


def probability(margin: Floats, slope: float, intercept: float) -> Floats:
    """Return 1 / (1 + exp(-(slope * margin + intercept))), without overflow.

    >>> probability(np.array([0.0, -1e9]), 1.0, 0.0).tolist()
    [0.5, 0.0]
    """
    odds: Floats = np.exp(-np.logaddexp(0.0, -(slope * margin + intercept)))
    return odds


def fit(margin: Floats, y: Floats) -> tuple[float, float]:
    """Return slope and intercept by Newton's method, on Platt's smoothed targets.

    Sums only, no BLAS, so that threads can't move a bit; steps are halved as in Lin, Lin and
    Weng (2007).
    """
    center, scale = float(margin.mean()), float(margin.std()) or 1.0
    x = (margin - center) / scale
    target = _targets(y)
    a, b = 1.0, 0.0
    for _ in range(STEPS):
        step_a, step_b = _newton_step(x, target, a, b)
        size = _longest_gain(x, target, (a, b), (step_a, step_b))
        if size == 0:
            break
        a, b = a - size * step_a, b - size * step_b
    slope = a / scale
    return round(slope, DIGITS), round(b - slope * center, DIGITS)


def fit_intercept(margin: Floats, y: Floats) -> float:
    """Return the shift after which the mean probability is the share of positives."""
    share = (y.sum() + 1) / (len(y) + 2)
    reach = float(np.abs(margin).max()) + 40.0
    low, high = -reach, reach
    for _ in range(STEPS):
        middle = (low + high) / 2
        if probability(margin, 1.0, middle).mean() < share:
            low = middle
        else:
            high = middle
    return round((low + high) / 2, DIGITS)


def loss(margin: Floats, y: Floats) -> float:
    """Return the mean log loss, in nats, once calibrated on the same rows.

    Uncalibrated it would tell how positives were weighted before how well they are ranked. Log-odds
    that mislead are worth no more than the share of positives.
    """
    slope, intercept = fit(margin, y)
    if slope <= 0:
        slope, intercept = 0.0, fit_intercept(np.zeros(len(y)), y)
    return _loss(slope * margin + intercept, y) / len(y)


def _targets(y: Floats) -> Floats:
    positives = float(y.sum())
    negatives = len(y) - positives
    return np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _loss(odds: Floats, target: Floats) -> float:
    return float((np.logaddexp(0.0, odds) - target * odds).sum())


def _longest_gain(
    x: Floats, target: Floats, at: tuple[float, float], step: tuple[float, float]
) -> float:
    """Return the share of a step, halved as often as need be, that lowers the loss; 0 for none."""
    loss = _loss(at[0] * x + at[1], target)
    for halving in range(HALVINGS):
        size = 0.5**halving
        if _loss((at[0] - size * step[0]) * x + at[1] - size * step[1], target) < loss:
            return size
    return 0.0


def _newton_step(x: Floats, target: Floats, a: float, b: float) -> tuple[float, float]:
    p = probability(x, a, b)
    slack = p - target
    curve = p * (1 - p)
    h_aa, h_ab, h_bb = (curve * x * x).sum() + 1e-12, (curve * x).sum(), curve.sum() + 1e-12
    g_a, g_b = (slack * x).sum(), slack.sum()
    area = h_aa * h_bb - h_ab * h_ab
    return float((h_bb * g_a - h_ab * g_b) / area), float((h_aa * g_b - h_ab * g_a) / area)
