"""The model in force stays what it is; beside other updates it shows what staying costs."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cll.types.updates import Lesson


@dataclass(frozen=True)
class Keep:
    @property
    def reads_champion(self) -> bool:
        return True

    def __call__(self, times: pl.Series, since: datetime | None) -> Lesson:
        if since is None:
            return Lesson(np.ones(len(times), np.bool_))
        return Lesson(np.zeros(len(times), np.bool_), goes_on=True)
