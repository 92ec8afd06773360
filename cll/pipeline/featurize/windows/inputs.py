"""Selection and transformation of the signal columns that features are computed from."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from cll.pipeline.featurize.windows.rolling import Rows
from cll.types.arrays import Floats
from cll.types.errors import ConfigError, config_error

_DIGITS = 12  # processors differ in the last digit of a logarithm


def chosen(
    signals: pl.DataFrame,
    columns: Sequence[str],
    names: Sequence[str] | None,
    past_only: Sequence[str],
) -> dict[str, Floats]:
    """Return the columns in `names`, or all `columns` where it is None; refuse unknown names."""
    chosen = tuple(columns) if names is None else names
    for key, wanted, among in (
        ("columns", chosen, columns),
        ("past_only", past_only, chosen),
    ):
        if unknown := [name for name in wanted if name not in among]:
            way_out = f"no such column; there are: {', '.join(among) or 'none'}."
            raise config_error(f"features.{key}", unknown[0], way_out)
    return {name: numbers(signals[name]) for name in chosen}


def numbers(series: pl.Series) -> Floats:
    """Return float64 values, with NaN for missing ones and for those outside the range of float32."""
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.abs(values) <= np.finfo(np.float32).max, values, np.nan)


def log1p(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return sign(x) log(1 + |x|) of each column."""
    return {name: np.round(np.sign(x) * np.log1p(np.abs(x)), _DIGITS) for name, x in values.items()}


def with_past_only(
    values: Mapping[str, Floats], rows: Rows, past_only: Sequence[str], max_age: int
) -> dict[str, Floats]:
    """Return the columns, with each `past_only` column replaced by the entity's previous value.

    The replacing columns are named NAME_before and come after all others.
    """
    if not past_only:
        return dict(values)
    row, is_recent = rows.lag(1, max_age)
    before = {
        f"{name}_before": np.where(is_recent, values[name][row], np.nan) for name in past_only
    }
    if repeated := before.keys() & values.keys():
        raise duplicate_name_error(min(repeated))
    return {name: x for name, x in values.items() if name not in past_only} | before


def duplicate_name_error(name: str) -> ConfigError:
    return config_error("features", name, "two features have this name; rename a column.")
