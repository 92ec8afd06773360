"""LightGBM's binned data sets, cached for all jobs that bin the same rows in the same way."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cll.system import cpu
from cll.types.arrays import Matrix
from cll.types.errors import Unavailable


def library() -> Any:
    """Import LightGBM so that idle threads sleep; use as many threads as there are free cores.

    By default idle threads spin: with two threads on two busy cores a fit of 2 s took over 60 s.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import lightgbm  # noqa: PLC0415  takes half a second, and only this estimator needs it

    cpu.take()
    return lightgbm


def binned(
    lgb: Any, rows: Matrix, binning: Mapping[str, Any], as_in: tuple[Matrix, Any] | None = None
) -> Any:
    """Return the binned data set of `rows`, with bins of its own or those of the data set in `as_in`.

    `as_in` holds other rows and their data set. Bins do not depend on weights, so jobs with other
    weights share the cached file.
    """
    reference = None if as_in is None else as_in[1]
    params = {**binning, "verbosity": -1}

    def afresh() -> Any:
        X = np.ascontiguousarray(rows.X, dtype=np.float32)
        return lgb.Dataset(X, label=rows.y, reference=reference, params=dict(params)).construct()

    def read(path: Path) -> Any:
        return lgb.Dataset(str(path), reference=reference, params=dict(params)).construct()

    def make(path: Path) -> None:
        try:
            afresh().save_binary(path)
            read(path)  # LightGBM does not check that the last bytes were written
        except lgb.basic.LightGBMError as error:
            raise Unavailable(f"{path}: can't be written: {error}; check the disk.") from None

    if rows.file_cache is None:
        return afresh()
    bins_of = rows if as_in is None else as_in[0]
    by = {"lightgbm": lgb.__version__, **binning}
    return read(rows.file_cache({"rows": rows.sha256, "bins_of": bins_of.sha256, "by": by}, make))


def scorable(
    lgb: Any, rows: Matrix, weight: float, binning: Mapping[str, Any], reference: Any = None
) -> Any:
    """Return a data set that keeps the raw rows, so a booster can score them with its first trees."""
    return lgb.Dataset(
        np.ascontiguousarray(rows.X, dtype=np.float32),
        label=rows.y,
        weight=np.where(rows.y == 1, weight, 1.0),
        reference=reference,
        params={**binning, "verbosity": -1},
        free_raw_data=False,
    )


def weighted(binned: Any, rows: Matrix, weight: float) -> Any:
    """Set the weight of each row.

    LightGBM's `scale_pos_weight` would not apply to the rows of `valid`.
    """
    return binned.set_weight(np.where(rows.y == 1, weight, 1.0))
