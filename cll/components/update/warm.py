"""Go on from the model in force: trees are added to its own, a solver starts at its weights."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cll.types.updates import Lesson


@dataclass(frozen=True)
class Warm:
    new_only: bool = False

    @property
    def reads_champion(self) -> bool:
        return True

    def __call__(self, times: pl.Series, since: datetime | None) -> Lesson:
        everything = np.ones(len(times), np.bool_)
        if since is None:
            return Lesson(everything)
        newer = (times > since).to_numpy()
        return Lesson(newer if self.new_only or not newer.any() else everything, goes_on=True)
