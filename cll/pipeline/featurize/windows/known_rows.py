"""Which rows a row may see: those that were known by the instant at which it is scored.

A row is scored a wait after its time, or once it is known itself. What became known later is hidden
from it, whatever its time. Rows that hide something are few: they are worked again, over copies of
what they see. Rows of an entity from which the same is hidden share their copies.
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

_PART = 65_536  # copies that are worked at once; a stretch of one entity is not cut
ALWAYS = int(np.iinfo(np.int64).max)  # an instant from which nothing is hidden


@dataclass(frozen=True)
class View:
    """What some rows see: copies, as entities of their own."""

    asked: Integers  # which of those that asked
    place: Integers  # of each of them, in `rows`
    copied: Integers  # the row that each copy is of
    rows: Rows


@dataclass(frozen=True)
class Sight:
    """What each row may see."""

    rows: Rows
    known: Integers  # microseconds since 1970
    scored: Integers  # when each row is
    late: Integers  # rows that were known later than a delay after their time, rising

    def hides(self, row: Integers, scored: Integers, reach: timedelta) -> Flags:
        """Say whether something within `reach` of each row is hidden from it at that instant."""
        if not len(self.late):
            return np.zeros(len(row), bool)
        low, stop = self._within(row, reach)
        first, last = np.searchsorted(self.late, low), np.searchsorted(self.late, stop)
        return self._peak.within(first, last) > scored

    def told(self, since: Integers, until: Integers, scored: Integers) -> Integers:
        """Return a number for what each instant knows; -1 where nothing of that time is hidden."""
        times, peak = self._by_time
        first = np.searchsorted(times, since)
        last = np.searchsorted(times, until, side="right")
        hidden = peak.within(first, last) > scored
        return np.where(hidden, np.searchsorted(self._news, scored, side="right"), -1)

    def _within(self, row: Integers, reach: timedelta) -> tuple[Integers, Integers]:
        """Return the rows of its entity from `reach` before each row on, and its ties."""
        span = rolling.microseconds(reach) + 1
        if span not in self._after:
            self._after[span] = self.rows.after(span)
        return self._after[span][row], self.rows.stop[row]

    def views(self, row: Integers, scored: Integers, reach: timedelta) -> Iterator[View]:
        """Yield what each row sees of its entity within `reach`, when scored at that instant."""
        heard = self._heard(row, scored)
        order = np.lexsort((row, heard, self.rows.entity[row]))
        row, scored, heard = row[order], scored[order], heard[order]
        low, stop = self._within(row, reach)
        apart = (np.diff(self.rows.entity[row]) != 0) | (np.diff(heard) != 0)
        apart |= low[1:] >= stop[:-1]
        starts = np.append(np.zeros(min(len(row), 1), np.int64), np.flatnonzero(apart) + 1)
        ends = np.append(starts[1:], len(row))[: len(starts)]
        for first, last in _parts(stop[ends - 1] - low[starts]):
            runs, asked = slice(first, last), slice(starts[first], ends[last - 1])
            begin, end = low[starts[runs]], stop[ends[runs] - 1]
            of, copied = _lay(begin, end)
            seen = (self.known[copied] <= scored[starts[runs]][of]) | ~self._is_late[copied]
            shift = np.cumsum(end - begin) - end
            run = np.repeat(np.arange(last - first), (ends - starts)[runs])
            place = (np.cumsum(seen) - 1)[row[asked] + shift[run]]
            copied = copied[seen]
            yield View(order[asked], place, copied, Rows(of[seen], self.rows.time[copied]))

    def _heard(self, row: Integers, scored: Integers) -> Integers:
        """Count the entity's late rows that are known by then, on top of earlier entities'."""
        by = np.searchsorted(self._news, scored, side="right")
        return np.searchsorted(self._told, self.rows.entity[row] * self._span + by)

    # What is asked for again and again, where peers are compared a few instants at a time.
    @cached_property
    def _after(self) -> dict[int, Integers]:
        return {}

    @cached_property
    def _peak(self) -> "Peak":
        return Peak.of(self.known[self.late])

    @cached_property
    def _by_time(self) -> tuple[Integers, "Peak"]:
        order = self.late[np.argsort(self.rows.time[self.late], kind="stable")]
        return self.rows.time[order], Peak.of(self.known[order])

    @cached_property
    def _news(self) -> Integers:
        return np.unique(self.known[self.late])

    @property
    def _span(self) -> int:
        return len(self._news) + 1

    @cached_property
    def _told(self) -> Integers:
        rank = np.searchsorted(self._news, self.known[self.late])
        return np.sort(self.rows.entity[self.late] * self._span + rank)

    @cached_property
    def _is_late(self) -> Flags:
        late = np.zeros(len(self.known), bool)
        late[self.late] = True
        return late


def _parts(sizes: Integers) -> Iterator[tuple[int, int]]:
    """Put stretches together, up to about a part's rows."""
    part = (np.cumsum(sizes) - sizes) // _PART
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(sizes)]
    return itertools.pairwise(cuts if len(sizes) else [])


def _lay(begin: Integers, end: Integers) -> tuple[Integers, Integers]:
    """Lay stretches of rows behind each other; return each place's stretch, and its row."""
    sizes = end - begin
    of = np.repeat(np.arange(len(begin)), sizes)
    return of, np.arange(len(of)) + (end - np.cumsum(sizes))[of]


@dataclass(frozen=True)
class Peak:
    """The highest of any stretch of values, from those of 1, 2, 4, 8, ... in a row."""

    levels: tuple[Integers, ...]

    @staticmethod
    def of(values: Integers) -> "Peak":
        levels = [values]
        while 2 ** len(levels) <= len(values):
            half = 2 ** (len(levels) - 1)
            levels.append(np.maximum(levels[-1][:-half], levels[-1][half:]))
        return Peak(tuple(levels))

    def within(self, start: Integers, stop: Integers) -> Integers:
        """Return the highest from `start` up to but not including `stop`; of nothing, the lowest.

        >>> Peak.of(np.array([3, 9, 4, 1])).within(np.array([0, 2]), np.array([3, 4])).tolist()
        [9, 4]
        """
        found = np.full(len(start), -ALWAYS)
        level = np.frexp(stop - start)[1] - 1
        for k, values in enumerate(self.levels):
            of = (level == k) & (stop > start)
            found[of] = np.maximum(values[start[of]], values[stop[of] - 2**k])
        return found


@dataclass(frozen=True)
class Watch:
    """Columns as a row sees them in another, which follow from `reach` of that one's entity."""

    sight: Sight
    reach: timedelta
    work: Callable[[View], list[Floats]]  # the columns of the copies

    def columns(self, row: Integers, scored: Integers) -> list[Floats]:
        """Return the columns of each row as they are seen at that instant."""
        found: list[Floats] = []
        for view in self.sight.views(row, scored, self.reach):
            columns = self.work(view)
            found = found or [np.full(len(row), np.nan) for _ in columns]
            for into, values in zip(found, columns, strict=True):
                into[view.asked] = values[view.place]
        return found


def sight(signals: pl.DataFrame, rows: Rows, delay: timedelta, wait: timedelta) -> Sight:
    """Say what each row sees that is scored `wait` after its time, or when it is known."""
    known = signals["known_at"].dt.epoch("us").to_numpy()
    scored = np.maximum(rows.time + rolling.microseconds(wait), known)
    late = np.flatnonzero(known > rows.time + rolling.microseconds(delay))
    return Sight(rows, known, scored, late)


def mend(
    found: Mapping[str, Features],
    sight: Sight,
    reach: timedelta,
    work: Callable[[View], Iterator[tuple[str, Floats | Features]]],
) -> None:
    """Work those features again, where something within `reach` is hidden."""
    if not len(sight.late):
        return
    row = np.flatnonzero(sight.hides(np.arange(len(sight.known)), sight.scored, reach))
    for view in sight.views(row, sight.scored[row], reach):
        for name, values in work(view):
            with np.errstate(over="ignore"):
                seen = values[view.place].astype(np.float32)
            found[name][row[view.asked]] = np.where(np.isinf(seen), np.float32(np.nan), seen)
