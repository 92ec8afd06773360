"""What an update teaches a candidate, and what a race between updates is decided by."""

from dataclasses import dataclass

from cll.types.arrays import Flags, Floats


@dataclass(frozen=True, eq=False)
class Lesson:
    """Which rows teach, and whether the fit goes on from the model in force.

    A lesson that goes on and has no row leaves the model as it is.
    """

    rows: Flags  # of the rows that may teach, those that do
    goes_on: bool = False
    daily: bool = False  # a step a UTC day, in their order, instead of one fit


@dataclass(frozen=True, eq=False)
class Entry:
    """One contender of a race, judged on rows that taught none of them."""

    name: str
    value: float  # in the gate's metric, turned so that more is better
    draws: Floats  # the same in each replicate: those of one number are paired
    row_visits: int  # how often its training looked at a row
    evidence: int  # blocks of rows that the figure rests on
