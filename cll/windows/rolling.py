"""Event-time windows over rows: which rows of its entity lie in (t - width, t] of each row.

Time is cut into blocks as long as the window, on a grid that no data moves: a window is then the
end of one block and the beginning of the next, and what holds of both follows from two values.
"""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.values import Flags, Floats

Integers = NDArray[np.int64]

HOUR = 3_600_000_000  # microseconds


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
        return runs(self.key)[0]

    @cached_property
    def stop(self) -> Integers:
        """Return the row behind the last of each row's ties."""
        return runs(self.key)[1]

    @cached_property
    def begin(self) -> Integers:
        """Return the first row of each row's entity."""
        return runs(self.entity)[0]

    def after(self, width: int) -> Integers:
        """Return the entity's first row later than `width` microseconds before each row."""
        instants, rank = self.instants
        bound = np.searchsorted(instants, instants - width, side="right")
        return np.searchsorted(self.key, self.entity * len(instants) + bound[rank])

    def lag(self, steps: int, max_age: int) -> tuple[Integers, Flags]:
        """Return the row `steps` before each row and its ties, and whether it is within reach."""
        row = self.first - steps
        there = row >= self.begin
        row = np.where(there, row, 0)
        return row, there & (self.time - self.time[row] <= max_age)

    def part(self, start: int, stop: int) -> "Rows":
        """Return some rows; to hold whole windows, they must be whole entities."""
        entity = self.entity[start:stop]
        return Rows(entity - entity[:1].sum(), self.time[start:stop])

    def parts(self, size: int) -> list[tuple[int, int]]:
        """Cut between entities, into parts of at most `size` rows where an entity allows it."""
        if not len(self.entity):
            return [(0, 0)]
        ends = np.append(np.flatnonzero(np.diff(self.entity)) + 1, len(self.entity)).tolist()
        cuts = [0]
        for here, following in zip(ends, [*ends[1:], None], strict=True):
            if here > cuts[-1] and (following is None or following - cuts[-1] > size):
                cuts.append(here)
        return list(itertools.pairwise(cuts))


def microseconds(span: timedelta) -> int:
    """Return a span as times are counted here."""
    return span // timedelta(microseconds=1)


def number(signals: pl.DataFrame) -> Rows:
    """Give each entity of signals a number; they are sorted by entity and time."""
    changes = (signals["entity"] != signals["entity"].shift(1)).fill_null(value=False)
    entity = changes.cast(pl.Int64).cum_sum().to_numpy()
    return Rows(entity, signals["time"].dt.epoch("us").to_numpy())


def runs(key: Integers) -> tuple[Integers, Integers]:
    """Return where each row's run of equal keys starts, and where it stops.

    >>> [a.tolist() for a in runs(np.array([7, 7, 9]))]
    [[0, 0, 2], [2, 2, 3]]
    """
    starts = np.flatnonzero(np.append(np.ones(min(len(key), 1), bool), key[1:] != key[:-1]))
    lengths = np.diff(np.append(starts, len(key)))
    first = np.repeat(starts, lengths)
    return first, first + np.repeat(lengths, lengths)


@dataclass(frozen=True)
class Blocks:
    """Blocks of one length, each a column of a table, so that all climb their steps at once.

    Blocks of about the same number of rows share a table; the tables lie in one flat array.
    """

    width: int  # microseconds
    low: Integers  # the first row of each row's window
    head: Integers  # the first row of each row's block
    tail: Integers  # the row behind the last of each row's block
    hours: Floats  # since the beginning of each row's block
    up: Integers  # each row's place in its table, counted from the block's beginning
    down: Integers  # and counted from its end
    tables: tuple[tuple[int, int, int], ...]  # offset, steps, blocks
    places: int  # in all tables


def cut(rows: Rows, width: int) -> Blocks:
    """Cut rows into blocks of `width` microseconds."""
    number = rows.time // width
    span = int(number.max(initial=0) - number.min(initial=0)) + 1
    head, tail = runs(rows.entity * span + number - number.min(initial=0))
    heads = np.flatnonzero(head == np.arange(len(head)))
    offset, across, tables, places = _arrange((tail - head)[heads])
    block = np.repeat(np.arange(len(heads)), (tail - head)[heads])
    base, blocks, row = offset[block], across[block], np.arange(len(head))
    return Blocks(
        width,
        rows.after(width),
        head,
        tail,
        (rows.time - number * width) / HOUR,
        base + (row - head) * blocks,
        base + (tail - 1 - row) * blocks,
        tables,
        places,
    )


def _arrange(sizes: Integers) -> tuple[Integers, Integers, tuple[tuple[int, int, int], ...], int]:
    """Give each block a column in a table of blocks of its size, to within a factor of 2."""
    kind = np.frexp(sizes - 0.5)[1]
    offset, across = np.zeros_like(sizes), np.zeros_like(sizes)
    tables, places = [], 0
    for k in np.unique(kind):
        members = np.flatnonzero(kind == k)
        steps = int(sizes[members].max())
        offset[members] = places + np.arange(len(members))
        across[members] = len(members)
        tables.append((places, steps, len(members)))
        places += steps * len(members)
    return offset, across, tuple(tables), places
