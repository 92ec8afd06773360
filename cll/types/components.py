"""Protocols of the components; a class fits one by its methods, without inheritance."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from cll.types.arrays import Features, Floats, Matrix, Scored, Split
from cll.types.records import Arrived, Piece
from cll.types.tables import Columns
from cll.types.triggers import Reason, Situation
from cll.types.updates import Contender, TrainingPlan
from cll.types.verdicts import Released


class Source(Protocol):
    """Reads the records known at `as_of`; it may also yield records that became known later."""

    @property
    def columns(self) -> Columns: ...

    @property
    def reads(self) -> tuple[Path, ...]:
        """Return the files that the source would read now, sorted; empty if it reads none."""
        ...

    def __call__(self, as_of: datetime, files: Sequence[Arrived]) -> Iterator[Piece]:
        """Yield pieces in a stable order; `files` has an entry for each file in `reads`."""
        ...


class FeatureSet(Protocol):
    """Computes the features of each row from its partition and a bounded lookback."""

    @property
    def lookback(self) -> timedelta: ...

    @property
    def reads_incidents(self) -> bool:
        """Return whether a feature depends on incidents; if not, none are passed."""
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
class TwoPassFeatureSet(FeatureSet, Protocol):
    """A feature set that can be computed in two passes, for a day that does not fit into memory.

    The passes together compute all columns. Each gives the same bytes however the rows are
    divided into batches.
    """

    def halves(self) -> tuple[FeatureSet, FeatureSet | None]:
        """Return the pass that needs only an entity's own rows, and the one that needs all entities."""
        ...


class Label(Protocol):
    """Labels each signal row with the outcome to predict, as far as it is known at `as_of`."""

    @property
    def horizon(self) -> timedelta:
        """Return how far ahead the label looks; 0 means the row's own instant."""
        ...

    @property
    def embargo(self) -> timedelta:
        """Return how long after a row its label is known: the gap between training and holdout."""
        ...

    def __call__(
        self, signals: pl.DataFrame, incidents: pl.DataFrame, as_of: datetime
    ) -> pl.DataFrame:
        """Return a frame of LABELS, a row for each row of `signals`, in its order.

        `signals` is sorted by entity and time.
        """
        ...


class Splitter(Protocol):
    """Divides labelled rows into training rows and holdout.

    A splitter whose `by_chance` is False ignores the seed, so that jobs with different seeds share
    its result.
    """

    def __call__(self, rows: pl.DataFrame, embargo: timedelta, seed: int) -> Split:
        """Split `rows` (entity, time, label, known_at: all mature), in their order."""
        ...


class FittedModel(Protocol):
    """A fitted estimator before calibration."""

    @property
    def rounds(self) -> int:
        """Return the number of boosting rounds; 0 for a model without any."""
        ...

    @property
    def importance(self) -> Mapping[str, float]:
        """Return the importance of each feature; they sum to 1."""
        ...

    def margin(self, X: Features) -> Floats:
        """Return log-odds."""
        ...

    def parts(self) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        """Return the model's part of model.json, and the contents of its other files by name."""
        ...


@runtime_checkable
class CountsPasses(Protocol):
    """A model that counts its passes over the training rows; for others, one pass is assumed."""

    @property
    def passes(self) -> int:
        """Return how often the fit read each row; 0 for a model loaded from disk."""
        ...


class Estimator(Protocol):
    """The hyperparameters of a model, with the function that fits it.

    Its module also has `load(parts, files) -> FittedModel`, the inverse of `FittedModel.parts`.
    """

    def __call__(
        self, train: Matrix, seed: int, valid: Matrix | None = None, rounds: int | None = None
    ) -> FittedModel:
        """Fit on `train`; stop early on `valid` if given, else run `rounds` if given."""
        ...


@runtime_checkable
class WarmStartEstimator(Estimator, Protocol):
    """An estimator that can continue training from a model that it fitted before."""

    def warm(
        self,
        base: FittedModel,
        train: Matrix,
        seed: int,
        valid: Matrix | None = None,
        rounds: int | None = None,
    ) -> FittedModel:
        """Continue from `base` on `train`; `rounds` includes those of `base`."""
        ...

    def step(self, base: FittedModel, part: Matrix, seed: int) -> FittedModel:
        """Update `base` with one pass over new rows, which may all have the same label.

        The result depends only on `base`, `part` and `seed`; writing `base` to disk and loading it
        again changes nothing.
        """
        ...


# Called after each fold with its number (from 0) and the log loss so far. Losses of trainings on the
# same rows are comparable. It may raise Stopped to end a training that is not promising.
Report = Callable[[int, float], None]


class Metric(Protocol):
    """A metric of weighted rows; NaN where it is not defined (one class only)."""

    def __call__(self, rows: Scored, weight: Floats) -> float: ...


class Update(Protocol):
    """Update strategy: plans how the next candidate is trained, and whether it continues the champion."""

    @property
    def reads_champion(self) -> bool:
        """Return whether it can continue from the champion; if not, `since` is always None."""
        ...

    def __call__(self, times: pl.Series, since: datetime | None) -> TrainingPlan:
        """Choose training rows by their times; the champion was trained on rows up to `since`.

        `since` is None if there is no champion; the strategy then trains from scratch.
        """
        ...


@runtime_checkable
class UpdateRace(Protocol):
    """An update strategy that trains several contenders and chooses the best of them."""

    @property
    def contenders(self) -> Sequence[str]: ...

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the settings of each contender by its name."""
        ...

    @property
    def share(self) -> float:
        """Return the share of the rows new to the champion on which the contenders are compared."""
        ...

    @property
    def rule(self) -> str:
        """Return the reason of the choice, as the end of a sentence."""
        ...

    def __call__(self, entries: Sequence[Contender]) -> str:
        """Return the winner's name."""
        ...


class Mirror(Protocol):
    """Copies the ledger's releases into another registry; only the ledger names the champion."""

    def __call__(self, root: Path, releases: Sequence[Released], in_force: str) -> list[str]:
        """Bring the registry in line with these releases and the champion; return a line per change."""
        ...


class Trigger(Protocol):
    """Decides whether to train, from nothing but what is known at a tick.

    A replay calls it at thousands of ticks. It therefore reads windows of time rather than the
    whole history, where it can.
    """

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        """Return one reason per rule, also for rules that do not fire."""
        ...
