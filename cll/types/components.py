"""What a component must be able to do; a class has a role by its shape, never by inheritance."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from cll.types.arrays import Features, Floats, Matrix, Scored, Split
from cll.types.records import Arrived, Piece
from cll.types.tables import Columns
from cll.types.triggers import Reason, Situation
from cll.types.updates import RaceEntry, TrainingPlan
from cll.types.verdicts import Released


class Source(Protocol):
    """Hands over what was known at `as_of`; rows that became known later may come too."""

    @property
    def columns(self) -> Columns: ...

    @property
    def reads(self) -> tuple[Path, ...]:
        """The files it would read now, sorted; empty for a source that reads none."""
        ...

    def __call__(self, as_of: datetime, files: Sequence[Arrived]) -> Iterator[Piece]:
        """Yield pieces in a stable order; `files` has an entry for each file in `reads`."""
        ...


class FeatureSet(Protocol):
    """Turns signals into features, row by row, from this partition and a bounded lookback."""

    @property
    def lookback(self) -> timedelta: ...

    @property
    def reads_incidents(self) -> bool:
        """Whether incidents decide on a feature; else it is given none."""
        ...

    def __call__(
        self, signals: pl.DataFrame, columns: Sequence[str], incidents: pl.DataFrame
    ) -> pl.DataFrame:
        """Return entity, time and Float32 features for each row of `signals`, in its order.

        `signals` is sorted by entity and time. `columns` are its numeric columns. A row's features
        use no other row that became known later than it could have been scored: at its own
        `known_at`, or a delay after its time.
        """
        ...


@runtime_checkable
class Halved(FeatureSet, Protocol):
    """A feature set that can be worked in two passes, where a day is too big for memory.

    The columns of both together are those of the whole, and a pass gives the same bytes whatever
    other rows are at hand.
    """

    def halves(self) -> tuple[FeatureSet, FeatureSet | None]:
        """Return what needs an entity's own rows only, and what needs all entities of a time."""
        ...


class Label(Protocol):
    """Says of each signal row what is to be predicted, as far as it is known at `as_of`."""

    @property
    def horizon(self) -> timedelta:
        """How far ahead it asks; 0 asks about the row's own instant."""
        ...

    @property
    def embargo(self) -> timedelta:
        """How long after a row its label is known: so much is left out before the holdout."""
        ...

    def __call__(
        self, signals: pl.DataFrame, incidents: pl.DataFrame, as_of: datetime
    ) -> pl.DataFrame:
        """Return a frame of LABELS, a row for each row of `signals`, in its order.

        `signals` is sorted by entity and time.
        """
        ...


class Splitter(Protocol):
    """Divides labelled rows into those that teach and those that judge.

    One with `by_chance` False gives the same rows whatever the seed, so that jobs share them.
    """

    def __call__(self, rows: pl.DataFrame, embargo: timedelta, seed: int) -> Split:
        """Split `rows` (entity, time, label, known_at: all mature), in their order."""
        ...


class Model(Protocol):
    """A fitted estimator before calibration."""

    @property
    def rounds(self) -> int:
        """Boosting rounds it keeps; 0 where there is no such thing."""
        ...

    @property
    def importance(self) -> Mapping[str, float]:
        """Share of each feature, summing to 1."""
        ...

    def margin(self, X: Features) -> Floats:
        """Return log-odds."""
        ...

    def parts(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        """Return what model.json holds of it, and the files beside it, by name."""
        ...


@runtime_checkable
class Counted(Protocol):
    """A model that tells by how much looking it was made; one that doesn't counts as one look."""

    @property
    def passes(self) -> int:
        """How often the fit that made it looked at each row; 0 for one that was read."""
        ...


class Estimator(Protocol):
    """Settings that can be fitted.

    Its module also has `load(parts, files) -> Model`, the inverse of `Model.parts`.
    """

    def __call__(
        self, train: Matrix, seed: int, valid: Matrix | None = None, rounds: int | None = None
    ) -> Model:
        """Fit on `train`; stop early on `valid` if given, else run `rounds` if given."""
        ...


@runtime_checkable
class GoesOn(Estimator, Protocol):
    """An estimator that can go on from a model that it made before."""

    def warm(
        self,
        base: Model,
        train: Matrix,
        seed: int,
        valid: Matrix | None = None,
        rounds: int | None = None,
    ) -> Model:
        """Fit on `train` from `base` on; `rounds` counts those of `base` too."""
        ...

    def step(self, base: Model, part: Matrix, seed: int) -> Model:
        """Learn from new rows with one look at each; they may show one outcome only.

        What it does follows from `base` and `part` alone, also where `base` was written and read.
        """
        ...


# Called after each fold with its number from 0, and the log loss so far: equal folds of the same rows
# compare. May raise Stopped, to end a training that does not pay.
Report = Callable[[int, float], None]


class Metric(Protocol):
    """A figure of merit of weighted rows; NaN where it is not defined (one class only)."""

    def __call__(self, rows: Scored, weight: Floats) -> float: ...


class Update(Protocol):
    """Says how the next candidate comes from the rows that may teach and the model in force."""

    @property
    def reads_champion(self) -> bool:
        """Whether it goes on from the model in force; else it is told of none."""
        ...

    def __call__(self, times: pl.Series, since: datetime | None) -> TrainingPlan:
        """Choose among rows that may teach; none up to `since` is new to the model in force.

        None: there is no such model, so all has to be learnt.
        """
        ...


@runtime_checkable
class Contest(Protocol):
    """An update that chooses among others, by what is told of each."""

    @property
    def contenders(self) -> Sequence[str]: ...

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Those of each update by its name."""
        ...

    @property
    def share(self) -> float:
        """How much of what is new to the model in force judges the contenders."""
        ...

    @property
    def rule(self) -> str:
        """Why the winner won, as the end of a sentence."""
        ...

    def __call__(self, entries: Sequence[RaceEntry]) -> str:
        """Return the winner's name."""
        ...


class Mirror(Protocol):
    """Shows elsewhere what the ledger says: to others, who must not ask it what is in force."""

    def __call__(self, root: Path, releases: Sequence[Released], in_force: str) -> list[str]:
        """Make it show these releases, and the version in force; return what had to be done."""
        ...


class Trigger(Protocol):
    """Tells whether it is time to train, from what is known at a tick and nothing else.

    Live and in a replay it is asked the same, some thousand times: it looks at stretches of time,
    not at the whole history, where it can.
    """

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        """Return a reason a rule, also of those that don't fire."""
        ...
