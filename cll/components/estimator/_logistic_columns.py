"""Columns of the logistic regression: imputation, scaling, and the design matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cll.types.arrays import Features, Flags, Floats


@dataclass(frozen=True)
class ScaledColumn:
    """Scale and weights of one feature: of its scaled value, and of the value being missing."""

    fill: float  # replaces a missing value
    center: float
    scale: float
    weight: float = 0.0  # weight of (value - center) / scale
    missing_weight: float = 0.0  # weight of the missing indicator; 0 without one
    missing_share: float = 0.0  # share of the training rows whose value is missing


def design_matrix(
    X: Features,
    columns: Sequence[ScaledColumn],
    varying: list[int],
    gappy: list[int],
    clip: float | None,
) -> Floats:
    """Return the scaled values of the columns `varying`, then indicators of missing for `gappy`."""
    design = np.empty((len(X), len(varying) + len(gappy)))
    for at, j in enumerate(varying):
        design[:, at] = scaled(X[:, j], ~np.isfinite(X[:, j]), columns[j], clip)
    design[:, len(varying) :] = ~np.isfinite(X[:, gappy])
    return design


def with_weights(
    columns: Mapping[str, ScaledColumn], varying: list[int], gappy: list[int], weights: Floats
) -> dict[str, ScaledColumn]:
    """Return the columns with their weights, in the order of `design_matrix`.

    Weights that are not given are 0.
    """
    weight = dict(zip(varying, weights.tolist(), strict=False))
    indicator = dict(zip(gappy, weights[len(varying) :].tolist(), strict=True))
    return {
        name: replace(column, weight=weight.get(j, 0.0), missing_weight=indicator.get(j, 0.0))
        for j, (name, column) in enumerate(columns.items())
    }


def measure(values: Features, missing: Flags, impute: str) -> ScaledColumn:
    """Return fill, center and scale of a column; the scale is NaN if all values are the same."""
    present = values[~missing].astype(np.float64)
    share = float(missing.mean())
    if not len(present):
        return ScaledColumn(0.0, 0.0, np.nan, missing_share=share)
    fill = float(np.median(present) if impute == "median" else present.mean())
    if present.min() == present.max():
        return ScaledColumn(fill, fill, np.nan, missing_share=share)
    return ScaledColumn(fill, float(present.mean()), float(present.std()), missing_share=share)


def scaled(values: Features, missing: Flags, column: ScaledColumn, clip: float | None) -> Floats:
    """Return imputed, scaled and clipped values in float64.

    Float32 has too few digits for epoch times.
    """
    whole = np.where(missing, column.fill, values.astype(np.float64))
    scaled: Floats = (whole - column.center) / column.scale
    return scaled if clip is None else np.clip(scaled, -clip, clip)
