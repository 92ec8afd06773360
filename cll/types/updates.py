"""Training plan of an update strategy, and its entry in a race."""

from dataclasses import dataclass

from cll.types.arrays import Flags, Floats


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """The rows to train on, and whether the fit continues from the champion.

    A plan that continues and has no row keeps the champion as it is.
    """

    rows: Flags  # mask over the rows that the update may choose from
    continues: bool = False
    daily: bool = False  # one step for each UTC day, in order, instead of one fit


@dataclass(frozen=True, eq=False)
class RaceEntry:
    """One contender of a race, judged on rows that no contender was trained on."""

    name: str
    value: float  # the gate's metric, with its sign turned so that higher is better
    draws: Floats  # the same in each bootstrap replicate; equal positions are paired
    row_visits: int  # rows read by its training, counting each pass
    evidence: int  # number of blocks that the value rests on
