"""Input of a trigger at a tick, and its decision."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import polars as pl


@dataclass(frozen=True, eq=False)
class Situation:
    """Facts known at `as_of`: the champion, and the data since it was trained."""

    as_of: datetime
    read: Callable[[], pl.DataFrame]  # returns `rows`; called only by a trigger that needs them
    columns: tuple[str, ...]
    champion: str = "none"  # model_id of the champion
    trained: datetime | None = None  # as_of of the last training, whatever its verdict; None: never
    champion_trained_until: datetime | None = None  # the last instant in its training data
    threshold: float | None = None  # threshold of the champion

    @cached_property
    def rows(self) -> pl.DataFrame:
        """All signals known by `as_of`, sorted by time and entity.

        The columns are LABELS as of then, the numeric `columns` (Float64), and p, the champion's
        score (null where there is no champion).
        """
        return self.read()


@dataclass(frozen=True)
class Reason:
    """One rule's value and bound at a tick, and whether it asks for a training."""

    name: str
    fires: bool
    value: float | str | None
    bound: float | str | None
    says: str  # one sentence for a person
    false_alarms: float | None = None  # stated share of ticks that fire though nothing changed


@dataclass(frozen=True)
class TriggerDecision:
    """Decision whether to train now, with the reason of every rule in order, also of those that do not fire."""

    fires: bool
    reasons: tuple[Reason, ...]
