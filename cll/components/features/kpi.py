"""Raw columns as features, without a lookback."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from cll.types.errors import config_error


@dataclass(frozen=True)
class Kpi:
    """Each numeric column of the source, or those in `columns`, in their order."""

    columns: tuple[str, ...] | None = None

    @property
    def lookback(self) -> timedelta:
        return timedelta(0)

    @property
    def reads_incidents(self) -> bool:
        return False

    def __call__(
        self, signals: pl.DataFrame, columns: Sequence[str], incidents: pl.DataFrame
    ) -> pl.DataFrame:
        del incidents
        chosen = tuple(columns) if self.columns is None else self.columns
        if unknown := [name for name in chosen if name not in columns]:
            available = ", ".join(columns) or "none"
            raise config_error(
                "features.columns", unknown[0], f"no such column; there are: {available}."
            )
        return signals.select(
            "entity", "time", *(pl.col(n).cast(pl.Float32).fill_null(float("nan")) for n in chosen)
        )
