"""Continue from the champion: trees are added to its trees, or a solver starts at its weights."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cll.types.updates import TrainingPlan


@dataclass(frozen=True)
class Warm:
    new_only: bool = False

    @property
    def reads_champion(self) -> bool:
        return True

    def __call__(self, times: pl.Series, since: datetime | None) -> TrainingPlan:
        everything = np.ones(len(times), np.bool_)
        if since is None:
            return TrainingPlan(everything)
        newer = (times > since).to_numpy()
        return TrainingPlan(
            newer if self.new_only or not newer.any() else everything, continues_champion=True
        )
