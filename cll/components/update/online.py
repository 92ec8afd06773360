"""Take one step a day of new rows from the model in force, as each day comes."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from cll.types.updates import Lesson


@dataclass(frozen=True)
class Online:
    """It looks at each row once, so a day costs a day, however long the history."""

    @property
    def reads_champion(self) -> bool:
        return True

    def __call__(self, times: pl.Series, since: datetime | None) -> Lesson:
        if since is None:
            return Lesson(np.ones(len(times), np.bool_))
        return Lesson((times > since).to_numpy(), goes_on=True, daily=True)
