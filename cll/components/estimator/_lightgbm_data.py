"""LightGBM's data sets: each value in its bin, found once for all that bin the same rows alike."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cll.system import cpu
from cll.types.arrays import Matrix
from cll.types.errors import Unavailable


def library() -> Any:
    """Import LightGBM so that its idle threads sleep, and as many work as there is room for now.

    They spin by default: with two threads on two busy cores a fit of 2 s took over 60 s.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import lightgbm  # noqa: PLC0415  half a second, and only this choice needs it

    cpu.take()
    return lightgbm


def binned(
    lgb: Any, rows: Matrix, binning: Mapping[str, Any], as_in: tuple[Matrix, Any] | None = None
) -> Any:
    """Put each value into its bin: found on these rows, or as in other rows and their data set.

    Weights decide on no bin, so jobs that weight their rows otherwise share what is kept.
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
            read(path)  # LightGBM does not look whether the last bytes came to the disk
        except lgb.basic.LightGBMError as error:
            raise Unavailable(f"{path}: can't be written: {error}; see to the disk.") from None

    if rows.keep is None:
        return afresh()
    bins_of = rows if as_in is None else as_in[0]
    by = {"lightgbm": lgb.__version__, **binning}
    return read(rows.keep({"rows": rows.sha256, "bins_of": bins_of.sha256, "by": by}, make))


def scorable(
    lgb: Any, rows: Matrix, weight: float, binning: Mapping[str, Any], reference: Any = None
) -> Any:
    """Give rows that a booster can score with the trees that it goes on from."""
    return lgb.Dataset(
        np.ascontiguousarray(rows.X, dtype=np.float32),
        label=rows.y,
        weight=np.where(rows.y == 1, weight, 1.0),
        reference=reference,
        params={**binning, "verbosity": -1},
        free_raw_data=False,
    )


def weighted(binned: Any, rows: Matrix, weight: float) -> Any:
    """Weight each row here, not by `scale_pos_weight`, which would leave `valid` unweighted."""
    return binned.set_weight(np.where(rows.y == 1, weight, 1.0))
