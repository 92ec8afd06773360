"""Train a new model on all training rows, or on the newest of them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from cll.types.errors import config_error
from cll.types.times import Duration
from cll.types.updates import TrainingPlan


@dataclass(frozen=True)
class Full:
    span: Duration | None = None

    def __post_init__(self) -> None:
        if self.span is not None and self.span <= timedelta(0):
            raise config_error(
                "update.span", "0", "no row would be trained on; write 14d, or null for all."
            )

    @property
    def reads_champion(self) -> bool:
        return False

    def __call__(self, times: pl.Series, since: datetime | None) -> TrainingPlan:
        del since
        if self.span is None:
            return TrainingPlan(np.ones(len(times), np.bool_))
        return TrainingPlan((times > times.max() - self.span).to_numpy())  # type: ignore[operator]
