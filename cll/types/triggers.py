"""What a trigger is told at a tick, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import polars as pl


@dataclass(frozen=True, eq=False)
class Situation:
    """What is known at `as_of` of the model in force, and of what came since it learnt."""

    as_of: datetime
    read: Callable[[], pl.DataFrame]  # returns `rows`: a schedule needs none of them
    columns: tuple[str, ...]
    champion: str = "none"  # model_id in force
    trained: datetime | None = None  # as_of of the last training, whatever its verdict; None: never
    learnt_until: datetime | None = None  # no later instant is in what the model in force learnt
    threshold: float | None = None  # of the model in force

    @cached_property
    def rows(self) -> pl.DataFrame:
        """All signals known by `as_of`, sorted by time and entity.

        LABELS as of then, the numeric `columns` (Float64), and p: the score of the model in force,
        null where none is.
        """
        return self.read()


@dataclass(frozen=True)
class Reason:
    """One rule's numbers at a tick, and whether they ask for a training."""

    name: str
    fires: bool
    value: float | str | None
    bound: float | str | None
    says: str  # one sentence for a person
    false_alarms: float | None = None  # stated rate: ticks that fire where nothing changed


@dataclass(frozen=True)
class Answer:
    """Whether to train now: the rules are told in their order, also those that don't fire."""

    fires: bool
    reasons: tuple[Reason, ...]
