"""Platt's calibration (1999): map a model's log-odds to calibrated probabilities."""

import numpy as np

from cll.types.arrays import Floats

DIGITS = 9  # digits of slope and intercept; hides differences of exp() between CPU families
STEPS = 100  # limit; Newton's method takes about ten steps, a bisection all of them
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

    A step that does not lower the loss is halved, as in Lin, Lin and Weng (2007). The code uses sums
    and no BLAS, so the result does not depend on the number of threads.
    """
    center, scale = float(margin.mean()), float(margin.std()) or 1.0
    x = (margin - center) / scale
    target = _targets(y)
    a, b = 1.0, 0.0
    for _ in range(STEPS):
        step_a, step_b = _newton_step(x, target, a, b)
        size = _step_size(x, target, (a, b), (step_a, step_b))
        if size == 0:
            break
        a, b = a - size * step_a, b - size * step_b
    slope = a / scale
    return round(slope, DIGITS), round(b - slope * center, DIGITS)


def fit_intercept(margin: Floats, y: Floats) -> float:
    """Return the intercept for which the mean probability equals the smoothed share of positives.

    The mean grows with the intercept, so a bisection finds it.
    """
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
    """Return the mean log loss, in nats, after calibration on the same rows.

    Without calibration the loss would mostly measure how positives were weighted in training. Where
    higher log-odds go with fewer positives, the loss is that of the share of positives alone.
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


def _step_size(
    x: Floats, target: Floats, at: tuple[float, float], step: tuple[float, float]
) -> float:
    """Return the first factor of 1, 1/2, 1/4 ... at which the step lowers the loss.

    0 if none does.
    """
    loss = _loss(at[0] * x + at[1], target)
    for halving in range(HALVINGS):
        size = 0.5**halving
        if _loss((at[0] - size * step[0]) * x + at[1] - size * step[1], target) < loss:
            return size
    return 0.0


def _newton_step(x: Floats, target: Floats, a: float, b: float) -> tuple[float, float]:
    p = probability(x, a, b)
    residual = p - target
    weight = p * (1 - p)
    h_aa, h_ab, h_bb = (weight * x * x).sum() + 1e-12, (weight * x).sum(), weight.sum() + 1e-12
    g_a, g_b = (residual * x).sum(), residual.sum()
    determinant = h_aa * h_bb - h_ab * h_ab
    return float((h_bb * g_a - h_ab * g_b) / determinant), float(
        (h_aa * g_b - h_ab * g_a) / determinant
    )
