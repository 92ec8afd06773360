"""Logistic regression on imputed, scaled columns; a fitted one scores with NumPy alone."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt, Interval

from cll.types.arrays import Features, Flags, Floats, Matrix
from cll.types.errors import DataRefused

# One Newton step costs rows * columns^2 and few are needed; from here on lbfgs, whose many steps
# cost rows * columns each, is the cheaper way to the same coefficients.
NEWTON_COLUMNS = 512


@dataclass(frozen=True)
class Column:
    """How one feature enters the log-odds: its scaled value, and whether it is missing."""

    fill: float  # stands in for a missing value
    center: float
    scale: float
    weight: float = 0.0  # of (value - center) / scale
    missing_weight: float = 0.0  # of 1 where the value is missing; 0 if none was in training
    missing_share: float = 0.0  # of the training rows


@dataclass(frozen=True)
class Model:
    """Log-odds that are linear in the columns; a value that is not finite counts as missing."""

    columns: Mapping[str, Column]
    bias: float
    solver: Mapping[str, Any]
    clip: float | None = None  # a scaled value goes no further from 0

    @property
    def rounds(self) -> int:
        return 0

    @property
    def passes(self) -> int:
        return int(self.solver.get("iterations", 0))

    @property
    def importance(self) -> dict[str, float]:
        """Share of each feature in the spread of the log-odds; all 0 if none counts."""
        shares = {
            name: abs(c.weight)
            + abs(c.missing_weight) * float(np.sqrt(c.missing_share * (1 - c.missing_share)))
            for name, c in self.columns.items()
        }
        total = sum(shares.values()) or 1.0
        return {name: share / total for name, share in shares.items()}

    def margin(self, X: Features) -> Floats:
        # Column by column: BLAS would let the last bit depend on threads and on the batch.
        total = np.full(len(X), self.bias)
        for values, column in zip(X.T, self.columns.values(), strict=True):
            missing = ~np.isfinite(values)
            total += column.weight * _scaled(values, missing, column, self.clip)
            total += column.missing_weight * missing
        return total

    def parts(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        columns = [{"name": name, **vars(column)} for name, column in self.columns.items()]
        solver = dict(self.solver)
        return {"bias": self.bias, "clip": self.clip, "columns": columns, "solver": solver}, {}


def load(parts: Mapping[str, Any], files: Mapping[str, bytes]) -> Model:
    """Read back what `Model.parts` gave."""
    del files  # the coefficients are all in model.json
    columns = {c["name"]: Column(**{k: c[k] for k in c if k != "name"}) for c in parts["columns"]}
    return Model(columns, parts["bias"], parts["solver"], parts["clip"])


@dataclass(frozen=True)
class Logistic:
    C: Annotated[float, Gt(0)] = 1.0
    impute: Literal["median", "mean"] = "median"
    clip: Annotated[float, Gt(0)] | None = 3.0
    missing_indicators: bool = True
    class_weight: Literal["none", "balanced"] = "none"
    solver: Literal["auto", "newton-cholesky", "lbfgs"] = "auto"
    max_iter: Annotated[int, Interval(ge=1, le=100_000)] = 1000
    tol: Annotated[float, Gt(0)] = 1e-8
    online_rate: Annotated[float, Gt(0)] = 0.0003

    def __call__(
        self, train: Matrix, seed: int, valid: Matrix | None = None, rounds: int | None = None
    ) -> Model:
        """Fit on `train`; there is no chance in it and nothing to stop early."""
        del seed, valid, rounds
        return self._fit(train, None)

    def warm(
        self,
        base: Model,
        train: Matrix,
        seed: int,
        valid: Matrix | None = None,
        rounds: int | None = None,
    ) -> Model:
        """Fit on `train` as ever, with a solver that starts at the weights of `base`."""
        del seed, valid, rounds
        return self._fit(train, base)

    def step(self, base: Model, part: Matrix, seed: int) -> Model:
        """Take one epoch of gradient descent; what `base` gave no weight stays without."""
        from sklearn.linear_model import SGDClassifier  # noqa: PLC0415  as in `_solve`

        columns = list(base.columns.values())
        told = [j for j, column in enumerate(columns) if column.weight]
        gappy = [j for j, column in enumerate(columns) if column.missing_weight]
        if not told + gappy:
            return replace(base, solver={"name": "none"})
        descent = SGDClassifier(
            loss="log_loss",
            penalty=None,
            learning_rate="constant",
            eta0=self.online_rate,
            random_state=seed,
        )
        start = [columns[j].weight for j in told] + [columns[j].missing_weight for j in gappy]
        descent.coef_, descent.intercept_ = np.array([start]), np.array([base.bias])
        weights = np.ones(len(part.y))
        if self.class_weight == "balanced":
            positive = part.y == 1
            for rows in (positive, ~positive):
                weights[rows] = len(part.y) / (2 * max(1, rows.sum()))
        design = _design(part.X, columns, told, gappy, base.clip)
        descent.partial_fit(design, part.y, classes=np.array([0.0, 1.0]), sample_weight=weights)
        found = {"name": "sgd", "iterations": 1}
        fitted = _weighted(base.columns, told, gappy, descent.coef_[0])
        return Model(fitted, float(descent.intercept_[0]), found, base.clip)

    def _fit(self, train: Matrix, base: Model | None) -> Model:
        _refuse_unteachable(train)
        missing = ~np.isfinite(train.X)
        pairs = zip(train.X.T, missing.T, strict=True)
        columns = [_column(values, gaps, self.impute) for values, gaps in pairs]
        # A column that never varies teaches nothing; one without a gap has no indicator.
        told = [j for j, column in enumerate(columns) if np.isfinite(column.scale)]
        gappy = [j for j, c in enumerate(columns) if 0 < c.missing_share < 1]
        gappy = gappy if self.missing_indicators else []
        design = _design(train.X, columns, told, gappy, self.clip)
        start = None if base is None else _carried(base, columns, told, gappy)
        weights, bias, solver = self._solve(design, train.y, start)
        usable = [
            column if np.isfinite(column.scale) else replace(column, scale=1.0)
            for column in columns
        ]
        fitted = _weighted(dict(zip(train.names, usable, strict=True)), told, gappy, weights)
        return Model(fitted, bias, solver, self.clip)

    def _solve(
        self, design: Floats, y: Floats, start: Floats | None
    ) -> tuple[Floats, float, dict[str, Any]]:
        """Return weights, bias, and how they were found; `start` has weights, and the bias last."""
        # scikit-learn and BLAS are slow to import, and scoring needs neither.
        from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        rows, width = design.shape
        if width == 0:  # only the share of the positives is left to learn
            odds = 1.0 if self.class_weight == "balanced" else y.mean() / (1 - y.mean())
            return np.zeros(0), float(np.log(odds)), {"name": "none"}
        name = self.solver
        if name == "auto":
            newton = width <= NEWTON_COLUMNS and rows > width
            name = "newton-cholesky" if newton else "lbfgs"
        weighting = None if self.class_weight == "none" else self.class_weight
        regression = LogisticRegression(
            C=self.C, class_weight=weighting, solver=name, max_iter=self.max_iter, tol=self.tol
        )
        if start is not None:
            regression.set_params(warm_start=True)
            regression.coef_, regression.intercept_ = start[None, :-1], start[-1:]
        # How far it came is written into the model, so a warning on top says nothing new.
        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(design, y)
        steps = int(regression.n_iter_[0])
        found = {"name": name, "iterations": steps, "converged": steps < self.max_iter}
        return regression.coef_[0], float(regression.intercept_[0]), found


def _design(
    X: Features, columns: Sequence[Column], told: list[int], gappy: list[int], clip: float | None
) -> Floats:
    """Lay out the scaled values of the columns `told`, then whether those of `gappy` are missing."""
    design = np.empty((len(X), len(told) + len(gappy)))
    for at, j in enumerate(told):
        design[:, at] = _scaled(X[:, j], ~np.isfinite(X[:, j]), columns[j], clip)
    design[:, len(told) :] = ~np.isfinite(X[:, gappy])
    return design


def _weighted(
    columns: Mapping[str, Column], told: list[int], gappy: list[int], weights: Floats
) -> dict[str, Column]:
    """Give each column its weights, in the order of `_design`; the others have none."""
    weight = dict(zip(told, weights.tolist(), strict=False))
    indicator = dict(zip(gappy, weights[len(told) :].tolist(), strict=True))
    return {
        name: replace(column, weight=weight.get(j, 0.0), missing_weight=indicator.get(j, 0.0))
        for j, (name, column) in enumerate(columns.items())
    }


def _carried(base: Model, columns: Sequence[Column], told: list[int], gappy: list[int]) -> Floats:
    """Return the weights that give the log-odds of `base` in other centers and scales.

    But for clipped and imputed values: where a solver starts, that is near enough.
    """
    olds, bias, weights = list(base.columns.values()), base.bias, []
    for j in told:
        slope = olds[j].weight / olds[j].scale
        weights.append(slope * columns[j].scale)
        bias += slope * (columns[j].center - olds[j].center)
    return np.array([*weights, *(olds[j].missing_weight for j in gappy), bias])


def _refuse_unteachable(train: Matrix) -> None:
    """Refuse rows that do not show both outcomes."""
    seen = np.unique(train.y).tolist()
    if seen != [0.0, 1.0]:
        raise DataRefused(
            f"The {len(train.y)} training rows hold the labels {seen[:5]}, where both 0 and 1"
            " are needed: widen the data's span or change the label."
        )


def _column(values: Features, missing: Flags, impute: str) -> Column:
    """Measure one column in float64; the scale is NaN where it holds one value, or none."""
    seen = values[~missing].astype(np.float64)
    share = float(missing.mean())
    if not len(seen):
        return Column(0.0, 0.0, np.nan, missing_share=share)
    fill = float(np.median(seen) if impute == "median" else seen.mean())
    if seen.min() == seen.max():
        return Column(fill, fill, np.nan, missing_share=share)
    return Column(fill, float(seen.mean()), float(seen.std()), missing_share=share)


def _scaled(values: Features, missing: Flags, column: Column, clip: float | None) -> Floats:
    """Impute, scale and clip in float64: an epoch in float32 has no digits left to subtract."""
    whole = np.where(missing, column.fill, values.astype(np.float64))
    scaled: Floats = (whole - column.center) / column.scale
    return scaled if clip is None else np.clip(scaled, -clip, clip)
