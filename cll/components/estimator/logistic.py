"""Logistic regression on imputed and scaled columns; scoring needs NumPy only."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt, Interval

from cll.components.estimator._logistic_columns import (
    ScaledColumn,
    design_matrix,
    measure,
    scaled,
    with_weights,
)
from cll.types.arrays import Features, Floats, Matrix
from cll.types.errors import DataRefused

# A Newton step costs rows * columns^2, and few steps are needed. A step of lbfgs costs rows * columns,
# and many are needed. From this number of columns on, lbfgs is faster; both give the same result.
NEWTON_COLUMNS = 512


@dataclass(frozen=True)
class LogisticModel:
    """Log-odds that are linear in the columns; values that are not finite count as missing."""

    columns: Mapping[str, ScaledColumn]
    bias: float
    solver: Mapping[str, Any]
    clip: float | None = None  # limit for the size of scaled values

    @property
    def rounds(self) -> int:
        return 0

    @property
    def passes(self) -> int:
        return int(self.solver.get("iterations", 0))

    @property
    def importance(self) -> dict[str, float]:
        """Return each feature's share in the spread of the log-odds; all 0 if all weights are 0."""
        shares = {
            name: abs(c.weight)
            + abs(c.missing_weight) * float(np.sqrt(c.missing_share * (1 - c.missing_share)))
            for name, c in self.columns.items()
        }
        total = sum(shares.values()) or 1.0
        return {name: share / total for name, share in shares.items()}

    def margin(self, X: Features) -> Floats:
        # Column by column: with BLAS the last bit would depend on threads and batch size.
        total = np.full(len(X), self.bias)
        for values, column in zip(X.T, self.columns.values(), strict=True):
            missing = ~np.isfinite(values)
            total += column.weight * scaled(values, missing, column, self.clip)
            total += column.missing_weight * missing
        return total

    def parts(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        columns = [{"name": name, **vars(column)} for name, column in self.columns.items()]
        solver = dict(self.solver)
        return {"bias": self.bias, "clip": self.clip, "columns": columns, "solver": solver}, {}


def load(parts: Mapping[str, Any], files: Mapping[str, bytes]) -> LogisticModel:
    """Load a model from its `parts`."""
    del files  # the coefficients are all in model.json
    columns = {
        c["name"]: ScaledColumn(**{k: c[k] for k in c if k != "name"}) for c in parts["columns"]
    }
    return LogisticModel(columns, parts["bias"], parts["solver"], parts["clip"])


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
    ) -> LogisticModel:
        """Fit on `train`; the arguments for seed, early stopping and rounds have no effect."""
        del seed, valid, rounds
        return self._fit(train, None)

    def warm(
        self,
        base: LogisticModel,
        train: Matrix,
        seed: int,
        valid: Matrix | None = None,
        rounds: int | None = None,
    ) -> LogisticModel:
        """Fit on `train`, with a solver that starts at the weights of `base`."""
        del seed, valid, rounds
        return self._fit(train, base)

    def step(self, base: LogisticModel, part: Matrix, seed: int) -> LogisticModel:
        """Run one epoch of gradient descent; columns without a weight in `base` get none."""
        from sklearn.linear_model import SGDClassifier  # noqa: PLC0415  as in `_solve`

        columns = list(base.columns.values())
        varying = [j for j, column in enumerate(columns) if column.weight]
        gappy = [j for j, column in enumerate(columns) if column.missing_weight]
        if not varying + gappy:
            return replace(base, solver={"name": "none"})
        descent = SGDClassifier(
            loss="log_loss",
            penalty=None,
            learning_rate="constant",
            eta0=self.online_rate,
            random_state=seed,
        )
        start = [columns[j].weight for j in varying] + [columns[j].missing_weight for j in gappy]
        descent.coef_, descent.intercept_ = np.array([start]), np.array([base.bias])
        weights = np.ones(len(part.y))
        if self.class_weight == "balanced":
            positive = part.y == 1
            for rows in (positive, ~positive):
                weights[rows] = len(part.y) / (2 * max(1, rows.sum()))
        design = design_matrix(part.X, columns, varying, gappy, base.clip)
        descent.partial_fit(design, part.y, classes=np.array([0.0, 1.0]), sample_weight=weights)
        solver_notes = {"name": "sgd", "iterations": 1}
        fitted = with_weights(base.columns, varying, gappy, descent.coef_[0])
        return LogisticModel(fitted, float(descent.intercept_[0]), solver_notes, base.clip)

    def _fit(self, train: Matrix, base: LogisticModel | None) -> LogisticModel:
        _refuse_single_class(train)
        missing = ~np.isfinite(train.X)
        pairs = zip(train.X.T, missing.T, strict=True)
        columns = [measure(values, gaps, self.impute) for values, gaps in pairs]
        # A column that never varies gets no weight; one that is never missing gets no indicator.
        varying = [j for j, column in enumerate(columns) if np.isfinite(column.scale)]
        gappy = [j for j, c in enumerate(columns) if 0 < c.missing_share < 1]
        gappy = gappy if self.missing_indicators else []
        design = design_matrix(train.X, columns, varying, gappy, self.clip)
        start = None if base is None else _carried(base, columns, varying, gappy)
        weights, bias, solver = self._solve(design, train.y, start)
        usable = [
            column if np.isfinite(column.scale) else replace(column, scale=1.0)
            for column in columns
        ]
        fitted = with_weights(dict(zip(train.names, usable, strict=True)), varying, gappy, weights)
        return LogisticModel(fitted, bias, solver, self.clip)

    def _solve(
        self, design: Floats, y: Floats, start: Floats | None
    ) -> tuple[Floats, float, dict[str, Any]]:
        """Return weights, bias, and notes on the solver.

        `start` holds the first weights, then the bias.
        """
        # scikit-learn and BLAS are slow to import, and scoring needs neither.
        from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        rows, width = design.shape
        if width == 0:  # without a column, the bias is the log-odds of the positives' share
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
        # The model notes whether the solver converged, so scikit-learn's warning is not needed.
        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            regression.fit(design, y)
        steps = int(regression.n_iter_[0])
        solver_notes = {"name": name, "iterations": steps, "converged": steps < self.max_iter}
        return regression.coef_[0], float(regression.intercept_[0]), solver_notes


def _carried(
    base: LogisticModel, columns: Sequence[ScaledColumn], varying: list[int], gappy: list[int]
) -> Floats:
    """Return weights and bias that give the log-odds of `base` with the new centers and scales.

    The effect of clipped and imputed values is ignored: the solver starts here and corrects it.
    """
    olds, bias, weights = list(base.columns.values()), base.bias, []
    for j in varying:
        slope = olds[j].weight / olds[j].scale
        weights.append(slope * columns[j].scale)
        bias += slope * (columns[j].center - olds[j].center)
    return np.array([*weights, *(olds[j].missing_weight for j in gappy), bias])


def _refuse_single_class(train: Matrix) -> None:
    """Refuse training rows that do not have both classes."""
    present = np.unique(train.y).tolist()
    if present != [0.0, 1.0]:
        raise DataRefused(
            f"The {len(train.y)} training rows hold the labels {present[:5]}, where both 0 and 1"
            " are needed: widen the data's span or change the label."
        )
