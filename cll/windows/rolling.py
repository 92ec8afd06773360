"""Event-time windows over rows: which rows of its entity lie in (t - width, t] of each row."""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.values import Flags

Integers = NDArray[np.int64]

HOUR = 3_600_000_000  # microseconds
_LONGEST = 2.0**62  # microseconds that are counted without overflow


@dataclass(frozen=True)
class Rows:
    """Rows sorted by entity and time; rows of one entity and time are ties, in any order."""

    entity: Integers  # from 0, rising
    time: Integers  # microseconds since 1970

    @cached_property
    def instants(self) -> tuple[Integers, Integers]:
        """Return the distinct times, rising, and the number of each row's."""
        instants, rank = np.unique(self.time, return_inverse=True)
        return instants, rank.astype(np.int64)

    @cached_property
    def key(self) -> Integers:
        """Return what rises with entity and time, and can't overflow."""
        instants, rank = self.instants
        return self.entity * len(instants) + rank

    @cached_property
    def first(self) -> Integers:
        """Return the first row among each row's ties."""
        return self._ties[0]

    @cached_property
    def stop(self) -> Integers:
        """Return the row behind the last of each row's ties."""
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
        """Return the row at which each entity begins, and the row behind all."""
        return np.append(changes(self.entity), len(self.entity))

    @cached_property
    def gaps(self) -> Integers:
        """Return the microseconds since the row before, of whichever entity."""
        return np.diff(self.time, prepend=self.time[:1])

    def after(self, width: int) -> Integers:
        """Return the entity's first row later than `width` microseconds before each row."""
        if float(width) * len(self.time) > _LONGEST:
            instants, rank = self.instants
            bound = np.searchsorted(instants, instants - width, side="right")
            return np.searchsorted(self.key, self.entity * len(instants) + bound[rank])
        # One clock for all entities: what is as far apart as a window stays so.
        clock = np.minimum(self.gaps, width)
        clock[changes(self.entity)] = width
        np.cumsum(clock, out=clock)
        # Two rising runs are merged in less time than one is searched for each of the other.
        merged = np.argsort(np.concatenate((clock + width, clock)), kind="stable")
        return np.flatnonzero(merged >= len(clock)) - np.arange(len(clock))

    def lag(self, steps: int, max_age: int) -> tuple[Integers, Flags]:
        """Return the row `steps` before each row and its ties, and whether it is within reach."""
        row = self.first - steps
        there = row >= self.begin
        row = np.where(there, row, 0)
        return row, there & (self.time - self.time[row] <= max_age)

    def parts(self, size: int) -> list[tuple[int, int]]:
        """Cut between entities, into parts of at most `size` rows where an entity allows it."""
        cuts = [0]
        while cuts[-1] < len(self.time):
            within = np.searchsorted(self.bounds, cuts[-1] + size, side="right") - 1
            least = np.searchsorted(self.bounds, cuts[-1], side="right")
            cuts.append(int(self.bounds[max(within, least)]))
        return list(itertools.pairwise(cuts))


def microseconds(span: timedelta) -> int:
    """Return a span as times are counted here."""
    return span // timedelta(microseconds=1)


def number(signals: pl.DataFrame) -> Rows:
    """Give each entity of signals a number; they are sorted by entity and time."""
    changes = (signals["entity"] != signals["entity"].shift(1)).fill_null(value=False)
    entity = changes.cast(pl.Int64).cum_sum().to_numpy()
    return Rows(entity, signals["time"].dt.epoch("us").to_numpy())


def changes(*keys: Integers) -> Integers:
    """Return the rows at which a run of rows with equal keys starts.

    >>> changes(np.array([7, 7, 9])).tolist()
    [0, 2]
    """
    new = np.ones(len(keys[0]), np.bool_)
    np.any([key[1:] != key[:-1] for key in keys], axis=0, out=new[1:])
    return np.flatnonzero(new)


def spread(heads: Integers, rows: int) -> tuple[Integers, Integers]:
    """Return where each row's run starts, and where it stops.

    >>> [a.tolist() for a in spread(np.array([0, 2]), 3)]
    [[0, 0, 2], [2, 2, 3]]
    """
    tails = np.append(heads, rows)[1:]
    return np.repeat(heads, tails - heads), np.repeat(tails, tails - heads)
