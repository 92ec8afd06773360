"""Event-time windows over rows: the rows of the same entity in (t - width, t] before each row."""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import polars as pl

from cll.types.arrays import Flags, Integers

HOUR = 3_600_000_000  # microseconds


@dataclass(frozen=True)
class Rows:
    """Rows sorted by entity and time; rows with equal entity and time are ties, in any order."""

    entity: Integers  # numbered from 0, ascending
    time: Integers  # microseconds since 1970

    @cached_property
    def first(self) -> Integers:
        """Return the first row among each row's ties."""
        return self._ties[0]

    @cached_property
    def stop(self) -> Integers:
        """Return the row after the last of each row's ties."""
        return self._ties[1]

    @cached_property
    def _ties(self) -> tuple[Integers, Integers]:
        return spread(changes(self.entity, self.time), len(self.time))

    @cached_property
    def begin(self) -> Integers:
        """Return the first row of each row's entity."""
        return spread(changes(self.entity), len(self.time))[0]

    @cached_property
    def bounds(self) -> Integers:
        """Return the first row of each entity, and finally the number of rows."""
        return np.append(changes(self.entity), len(self.entity))

    def after(self, width: int) -> Integers:
        """Return the entity's first row later than `width` microseconds before each row."""
        from cll.pipeline.featurize.windows import search

        rows_after = np.empty(len(self.time), np.int64)
        search.after(self.time, self.bounds, width, rows_after)
        return rows_after

    def lag(self, steps: int, max_age: int) -> tuple[Integers, Flags]:
        """Return the row `steps` before each row's ties, and whether it is at most `max_age` old."""
        row = self.first - steps
        within = row >= self.begin
        row = np.where(within, row, 0)
        return row, within & (self.time - self.time[row] <= max_age)

    def parts(self, size: int) -> list[tuple[int, int]]:
        """Return parts that end between entities, of at most `size` rows unless one entity has more."""
        cuts = [0]
        while cuts[-1] < len(self.time):
            within = np.searchsorted(self.bounds, cuts[-1] + size, side="right") - 1
            least = np.searchsorted(self.bounds, cuts[-1], side="right")
            cuts.append(int(self.bounds[max(within, least)]))
        return list(itertools.pairwise(cuts))


def microseconds(span: timedelta) -> int:
    """Return a time span in microseconds."""
    return span // timedelta(microseconds=1)


def number(signals: pl.DataFrame) -> Rows:
    """Return the rows of signals, which are sorted by entity and time, with numbered entities."""
    changes = (signals["entity"] != signals["entity"].shift(1)).fill_null(value=False)
    entity = changes.cast(pl.Int64).cum_sum().to_numpy()
    return Rows(entity, signals["time"].dt.epoch("us").to_numpy())


def changes(*keys: Integers) -> Integers:
    """Return the first row of each run of rows with equal keys.

    >>> changes(np.array([7, 7, 9])).tolist()
    [0, 2]
    """
    new = np.ones(len(keys[0]), np.bool_)
    np.any([key[1:] != key[:-1] for key in keys], axis=0, out=new[1:])
    return np.flatnonzero(new)


def spread(heads: Integers, rows: int) -> tuple[Integers, Integers]:
    """Return the start and the stop of each row's run, from the first rows of all runs.

    >>> [a.tolist() for a in spread(np.array([0, 2]), 3)]
    [[0, 0, 2], [2, 2, 3]]
    """
    tails = np.append(heads, rows)[1:]
    return np.repeat(heads, tails - heads), np.repeat(tails, tails - heads)
