"""The columns of signals as every feature sees them: chosen, transformed, and known by then."""

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
    """Return the columns that are named, or all."""
    chosen = tuple(columns) if names is None else names
    for key, named, among in (
        ("columns", chosen, columns),
        ("past_only", past_only, chosen),
    ):
        if unknown := [name for name in named if name not in among]:
            says = f"no such column; there are: {', '.join(among) or 'none'}."
            raise config_error(f"features.{key}", unknown[0], says)
    return {name: numbers(signals[name]) for name in chosen}


def numbers(series: pl.Series) -> Floats:
    """Return float64 with NaN for what is missing, or not to be held by a feature's float32."""
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.abs(values) <= np.finfo(np.float32).max, values, np.nan)


def log1p(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return sign(x) log(1 + |x|) of each column."""
    return {name: np.round(np.sign(x) * np.log1p(np.abs(x)), _DIGITS) for name, x in values.items()}


def shown(
    values: Mapping[str, Floats], rows: Rows, past_only: Sequence[str], max_age: int
) -> dict[str, Floats]:
    """Return columns, and of those that are `past_only` what the row before holds, behind them."""
    if not past_only:
        return dict(values)
    row, there = rows.lag(1, max_age)
    before = {f"{name}_before": np.where(there, values[name][row], np.nan) for name in past_only}
    if twice := before.keys() & values.keys():
        raise named_twice(min(twice))
    return {name: x for name, x in values.items() if name not in past_only} | before


def named_twice(name: str) -> ConfigError:
    return config_error("features", name, "two features have this name; rename a column.")
