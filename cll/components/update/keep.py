"""Keep the champion unchanged; compared with other updates this shows the cost of not training."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cll.types.updates import TrainingPlan


@dataclass(frozen=True)
class Keep:
    @property
    def reads_champion(self) -> bool:
        return True

    def __call__(self, times: pl.Series, since: datetime | None) -> TrainingPlan:
        if since is None:
            return TrainingPlan(np.ones(len(times), np.bool_))
        return TrainingPlan(np.zeros(len(times), np.bool_), continues_champion=True)
