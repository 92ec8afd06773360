"""Continue from the champion with one step for each day of new rows."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cll.types.updates import TrainingPlan


@dataclass(frozen=True)
class Online:
    """Each row is read once, so the cost of a day does not grow with the history."""

    @property
    def reads_champion(self) -> bool:
        return True

    def __call__(self, times: pl.Series, since: datetime | None) -> TrainingPlan:
        if since is None:
            return TrainingPlan(np.ones(len(times), np.bool_))
        return TrainingPlan((times > since).to_numpy(), continues_champion=True, daily=True)
