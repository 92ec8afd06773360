"""Training plan of an update strategy, and a contender in a race between strategies."""

from dataclasses import dataclass

from cll.types.arrays import Flags, Floats


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """The rows to train on, and whether the fit continues the champion.

    A plan that continues the champion and has no row leaves the champion as it is.
    """

    rows: Flags  # mask over the candidate's possible training rows
    continues_champion: bool = False
    daily: bool = False  # one update per UTC day, in order, instead of one fit


@dataclass(frozen=True, eq=False)
class Contender:
    """One contender of a race, evaluated on rows that none of the contenders was trained on."""

    name: str
    value: float  # value of the gate's metric, negated if lower is better
    draws: Floats  # the value in each bootstrap replicate; replicates are paired by index
    row_visits: int  # number of rows that its training read, passes counted
    evidence: int  # number of blocks of rows behind `value`
