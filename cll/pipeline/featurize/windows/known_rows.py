"""Visibility of rows: a row's features use only rows that were known when it was scored.

A row is scored at a fixed time after its own, or later, when it becomes known. Rows that became
known after that instant are hidden from it, whatever their own time. Few rows have hidden rows
within reach. Their features are computed again, over copies of the rows that they see.
Rows of one entity that have the same hidden rows share their copies.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
import polars as pl

from cll.pipeline.featurize.windows import rolling
from cll.pipeline.featurize.windows.rolling import Rows
from cll.types.arrays import Features, Flags, Floats, Integers

_PART = 65_536  # copies that are computed at once; the copies for one entity are never divided
ALWAYS = int(np.iinfo(np.int64).max)  # the instant at which every row is known


@dataclass(frozen=True)
class VisibleCopies:
    """Copies of the rows that some queried rows may use, grouped as if each group were an entity."""

    query: Integers  # position of each queried row in the query
    place: Integers  # position of each queried row's copy in `rows`
    copied: Integers  # the original row of each copy
    rows: Rows


@dataclass(frozen=True)
class Visibility:
    """The times at which rows became known and are scored, in microseconds since 1970."""

    rows: Rows
    known_at: Integers
    scored: Integers
    late: Integers  # rows that became known later than the delay after their time, ascending

    def hides(self, row: Integers, scored: Integers, reach: timedelta) -> Flags:
        """Return whether a row within `reach` before each `row` is still unknown at `scored`."""
        if not len(self.late):
            return np.zeros(len(row), bool)
        low, stop = self._within(row, reach)
        first, last = np.searchsorted(self.late, low), np.searchsorted(self.late, stop)
        return self._latest_arrival.within(first, last) > scored

    def visible_sets(self, since: Integers, until: Integers, scored: Integers) -> Integers:
        """Return a number per instant in `scored`; instants with equal numbers hide the same rows.

        The number is -1 where no row with a time from `since` to `until` is hidden.
        """
        times, latest_arrival = self._by_time
        first = np.searchsorted(times, since)
        last = np.searchsorted(times, until, side="right")
        hidden = latest_arrival.within(first, last) > scored
        return np.where(hidden, np.searchsorted(self._arrivals, scored, side="right"), -1)

    def _within(self, row: Integers, reach: timedelta) -> tuple[Integers, Integers]:
        """Return for each row the first row of its entity within `reach`, and the end of its ties."""
        span = rolling.microseconds(reach) + 1
        if span not in self._after:
            self._after[span] = self.rows.after(span)
        return self._after[span][row], self.rows.stop[row]

    def views(self, row: Integers, scored: Integers, reach: timedelta) -> Iterator[VisibleCopies]:
        """Yield copies of the rows of its entity that each `row` sees within `reach` at `scored`."""
        arrived = self._count_arrived(row, scored)
        order = np.lexsort((row, arrived, self.rows.entity[row]))
        row, scored, arrived = row[order], scored[order], arrived[order]
        low, stop = self._within(row, reach)
        apart = (np.diff(self.rows.entity[row]) != 0) | (np.diff(arrived) != 0)
        apart |= low[1:] >= stop[:-1]
        starts = np.append(np.zeros(min(len(row), 1), np.int64), np.flatnonzero(apart) + 1)
        ends = np.append(starts[1:], len(row))[: len(starts)]
        for first, last in _parts(stop[ends - 1] - low[starts]):
            runs, query = slice(first, last), slice(starts[first], ends[last - 1])
            begin, end = low[starts[runs]], stop[ends[runs] - 1]
            stretch, copied = _lay(begin, end)
            on_time = ~self._is_late[copied]
            visible = (self.known_at[copied] <= scored[starts[runs]][stretch]) | on_time
            shift = np.cumsum(end - begin) - end
            run = np.repeat(np.arange(last - first), (ends - starts)[runs])
            place = (np.cumsum(visible) - 1)[row[query] + shift[run]]
            copied = copied[visible]
            copies = Rows(stretch[visible], self.rows.time[copied])
            yield VisibleCopies(order[query], place, copied, copies)

    def _count_arrived(self, row: Integers, scored: Integers) -> Integers:
        """Return the number of late rows known by `scored`, counted over this and earlier entities."""
        by = np.searchsorted(self._arrivals, scored, side="right")
        return np.searchsorted(self._arrived, self.rows.entity[row] * self._span + by)

    # The properties below are cached: peers are compared a few instants at a time and read them often.
    @cached_property
    def _after(self) -> dict[int, Integers]:
        return {}

    @cached_property
    def _latest_arrival(self) -> "RangeMaximum":
        return RangeMaximum.build(self.known_at[self.late])

    @cached_property
    def _by_time(self) -> tuple[Integers, "RangeMaximum"]:
        order = self.late[np.argsort(self.rows.time[self.late], kind="stable")]
        return self.rows.time[order], RangeMaximum.build(self.known_at[order])

    @cached_property
    def _arrivals(self) -> Integers:
        return np.unique(self.known_at[self.late])

    @property
    def _span(self) -> int:
        return len(self._arrivals) + 1

    @cached_property
    def _arrived(self) -> Integers:
        rank = np.searchsorted(self._arrivals, self.known_at[self.late])
        return np.sort(self.rows.entity[self.late] * self._span + rank)

    @cached_property
    def _is_late(self) -> Flags:
        late = np.zeros(len(self.known_at), bool)
        late[self.late] = True
        return late


def _parts(sizes: Integers) -> Iterator[tuple[int, int]]:
    """Group row ranges of these sizes into parts of about `_PART` rows; yield (first, end)."""
    part = (np.cumsum(sizes) - sizes) // _PART
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(sizes)]
    return itertools.pairwise(cuts if len(sizes) else [])


def _lay(begin: Integers, end: Integers) -> tuple[Integers, Integers]:
    """Concatenate ranges of rows; return the number of the range and the row at each position."""
    sizes = end - begin
    stretch = np.repeat(np.arange(len(begin)), sizes)
    return stretch, np.arange(len(stretch)) + (end - np.cumsum(sizes))[stretch]


@dataclass(frozen=True)
class RangeMaximum:
    """Sparse table for the maximum of any range of values, in constant time.

    Level k holds the maximum of each run of 2**k values. Two such runs, which may overlap, cover
    any range.
    """

    levels: tuple[Integers, ...]

    @staticmethod
    def build(values: Integers) -> "RangeMaximum":
        levels = [values]
        while 2 ** len(levels) <= len(values):
            half = 2 ** (len(levels) - 1)
            levels.append(np.maximum(levels[-1][:-half], levels[-1][half:]))
        return RangeMaximum(tuple(levels))

    def within(self, start: Integers, stop: Integers) -> Integers:
        """Return the maximum from `start` up to but not including `stop`; -ALWAYS if that is empty.

        >>> values = np.array([3, 9, 4, 1])
        >>> RangeMaximum.build(values).within(np.array([0, 2]), np.array([3, 4])).tolist()
        [9, 4]
        """
        maxima = np.full(len(start), -ALWAYS)
        level = np.frexp(stop - start)[1] - 1
        for k, values in enumerate(self.levels):
            of_level = (level == k) & (stop > start)
            maxima[of_level] = np.maximum(values[start[of_level]], values[stop[of_level] - 2**k])
        return maxima


@dataclass(frozen=True)
class VisibleColumns:
    """Columns computed again from the rows that were known at a given instant.

    A row's value follows from the rows of its entity within `reach` before it.
    """

    visibility: Visibility
    reach: timedelta
    compute: Callable[[VisibleCopies], list[Floats]]  # returns the columns of the copies

    def columns(self, row: Integers, scored: Integers) -> list[Floats]:
        """Return the columns of each `row`, from the rows known at `scored`."""
        results: list[Floats] = []
        for view in self.visibility.views(row, scored, self.reach):
            columns = self.compute(view)
            results = results or [np.full(len(row), np.nan) for _ in columns]
            for into, values in zip(results, columns, strict=True):
                into[view.query] = values[view.place]
        return results


def visibility(signals: pl.DataFrame, rows: Rows, delay: timedelta, wait: timedelta) -> Visibility:
    """Return the visibility of rows; each is scored `wait` after its time, or later, once known."""
    known_at = signals["known_at"].dt.epoch("us").to_numpy()
    scored = np.maximum(rows.time + rolling.microseconds(wait), known_at)
    late = np.flatnonzero(known_at > rows.time + rolling.microseconds(delay))
    return Visibility(rows, known_at, scored, late)


def recompute(
    features: Mapping[str, Features],
    visibility: Visibility,
    reach: timedelta,
    compute: Callable[[VisibleCopies], Iterator[tuple[str, Floats | Features]]],
) -> None:
    """Overwrite the features of each row that has a hidden row within `reach`.

    `compute` yields the features of copies by name; those of the queried rows are stored.
    """
    if not len(visibility.late):
        return
    every_row = np.arange(len(visibility.known_at))
    row = np.flatnonzero(visibility.hides(every_row, visibility.scored, reach))
    for view in visibility.views(row, visibility.scored[row], reach):
        for name, values in compute(view):
            with np.errstate(over="ignore"):
                own = values[view.place].astype(np.float32)
            features[name][row[view.query]] = np.where(np.isinf(own), np.float32(np.nan), own)
