"""Label from the row's own outcome: the run failed or not."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from cll.types.errors import config_error
from cll.types.tables import OUTCOME, OUTCOME_KNOWN_AT, TRUTH_PREFIX
from cll.types.times import Duration

_CHANCE = f"{TRUTH_PREFIX}outcome"


@dataclass(frozen=True)
class Outcome:
    """The outcome, known `delay` after outcome_known_at, or after the row's time if that is absent."""

    delay: Duration = timedelta(0)

    @property
    def horizon(self) -> timedelta:
        return timedelta(0)

    @property
    def embargo(self) -> timedelta:
        return self.delay

    def __call__(
        self, signals: pl.DataFrame, incidents: pl.DataFrame, as_of: datetime
    ) -> pl.DataFrame:
        del incidents
        if OUTCOME not in signals.columns:
            way_out = "the source has no outcome column; map one, or choose label=incident."
            raise config_error("label", "outcome", way_out)
        times = [name for name in (OUTCOME_KNOWN_AT, "time") if name in signals.columns]
        known_at = pl.max_horizontal(pl.coalesce(times), "time") + self.delay
        chance = pl.col(_CHANCE) if _CHANCE in signals.columns else pl.lit(None)
        status = (
            pl.when(pl.col(OUTCOME).is_null() | pl.col(OUTCOME).is_nan())
            .then(pl.lit("untold"))
            .when(known_at > as_of)
            .then(pl.lit("immature"))
            .otherwise(pl.lit("mature"))
        )
        mature = status == "mature"
        return signals.select(
            "entity",
            "time",
            label=pl.when(mature).then(pl.col(OUTCOME).cast(pl.Int8)),
            status=status,
            known_at=known_at,
            incident=pl.lit(None, pl.Int32),
            kind=pl.lit(None, pl.String),
            chance=chance.cast(pl.Float64),
        )
