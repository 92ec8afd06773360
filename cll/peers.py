"""How a row compares with its peers: the latest value of each other entity, as known at that time.

Entities are seldom sampled at the same second. So a peer's value is its latest at the instant of
comparison, if it is younger than a limit; nothing later than the row takes part.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from cll import rolling
from cll.rolling import Integers, Rows
from cll.values import Flags, Floats

_CELLS = 2_000_000  # of a table of instants and entities that is worked at once


@dataclass(frozen=True)
class Standing:
    """Where each row's value stands among `others` values."""

    others: Integers
    rank: Floats  # share of the others below it, ties counting half
    ratio: Floats  # to the median of the others


@dataclass(frozen=True)
class _Table:
    """Some instants, the rows that are compared at them, and each entity's latest row by then."""

    rows: Integers
    instant: Integers  # of each of `rows`, from 0
    latest: Integers  # (instants, entities); -1: none that is young enough


def compare(
    signals: pl.DataFrame, columns: list[Floats], group: str | None, grid: int, max_age: int
) -> list[Standing]:
    """Compare each row at the latest multiple of `grid` microseconds (0: at its very time).

    Peers are all other entities, or those with the same value of the column `group`. Costs
    instants times entities: where thousands of entities are each sampled at seconds of their own,
    a grid keeps that small, and peers are then up to `grid` older.
    """
    size = signals.height
    found = [Standing(np.zeros(size, np.int64), *np.full((2, size), np.nan)) for _ in columns]
    for members in _fleets(signals, group):
        rows = rolling.number(signals[members])
        for table in _tables(rows, grid, max_age):
            for values, standing in zip(columns, found, strict=True):
                _stand(rows, table, values[members], members, standing)
    return found


def _fleets(signals: pl.DataFrame, group: str | None) -> list[Integers]:
    """Return the rows of each fleet, in order of the fleet's first row."""
    if group is None:
        return [np.arange(signals.height)]
    fleets = signals.with_row_index("row").group_by(group, maintain_order=True).agg("row")
    return [rows.to_numpy().astype(np.int64) for rows in fleets["row"]]


def _tables(rows: Rows, grid: int, max_age: int) -> Iterator[_Table]:
    at = rows.time // grid * grid if grid else rows.time
    instants, rank = np.unique(at, return_inverse=True)
    order = np.argsort(rank, kind="stable")
    entities = int(rows.entity[-1]) + 1 if len(rows.entity) else 1
    step = max(1, _CELLS // entities)
    for start in range(0, len(instants), step):
        some = instants[start : start + step]
        low, high = np.searchsorted(rank[order], [start, start + len(some)])
        members = order[low:high]
        yield _Table(members, rank[members] - start, _latest(rows, some, max_age))


def _latest(rows: Rows, instants: Integers, max_age: int) -> Integers:
    times, _ = rows.instants
    entities = np.arange(int(rows.entity[-1]) + 1)[:, None]
    known = np.searchsorted(times, instants, side="right")
    row = np.searchsorted(rows.key, entities * len(times) + known) - 1
    at = np.maximum(row, 0)
    there = (row >= 0) & (rows.entity[at] == entities) & (instants - rows.time[at] < max_age)
    return np.ascontiguousarray(np.where(there, row, -1).T)


def _stand(rows: Rows, table: _Table, values: Floats, members: Integers, into: Standing) -> None:
    """Rank by binary search; an entity's own latest value is taken out of the ranking again."""
    shown = np.where(table.latest >= 0, values[table.latest], np.nan)
    order = np.sort(np.where(np.isfinite(shown), shown, np.inf), axis=1)
    known = np.isfinite(shown).sum(axis=1)[table.instant]
    own = shown[table.instant, rows.entity[table.rows]]
    counted = np.isfinite(own)
    x = values[table.rows]
    below = _count(order, table.instant, x, ties=False) - (counted & (own < x))
    up_to = _count(order, table.instant, x, ties=True) - (counted & (own <= x))
    others, to = known - counted, members[table.rows]
    place = np.where(counted, _count(order, table.instant, own, ties=False), order.shape[1])
    middle = _median(order, table.instant, others, place)
    usable = np.isfinite(x) & (others > 0)
    nonzero = usable & (middle != 0)
    into.others[to] = others
    rank = (below + (up_to - below) / 2) / np.maximum(others, 1)
    into.rank[to] = np.where(usable, rank, np.nan)
    with np.errstate(over="ignore"):
        into.ratio[to] = np.divide(x, middle, out=np.full_like(x, np.nan), where=nonzero)


def _count(order: Floats, line: Integers, x: Floats, *, ties: bool) -> Integers:
    """Count what lies below `x` (or ties with it) in its line of `order`."""
    flat, width = order.ravel(), order.shape[1]
    low, high = np.zeros_like(line), np.full_like(line, width)
    for _ in range(width.bit_length()):
        middle = (low + high) // 2
        seen = flat[line * width + np.minimum(middle, width - 1)]
        right = (low < high) & (seen <= x if ties else seen < x)
        low = np.where(right, middle + 1, low)
        high = np.where(right, high, middle)
    return low


def _median(order: Floats, line: Integers, others: Integers, place: Integers) -> Floats:
    """Return the median of a line's first values, the one at `place` left out."""
    width = order.shape[1]
    halves = []
    for half in ((np.maximum(others, 1) - 1) // 2, others // 2):
        at = np.minimum(half + (half >= place), width - 1)
        halves.append(order[line, at])
    finite: Flags = others > 0
    low, high = (np.where(finite, h, 0.0) for h in halves)
    return low + (high - low) / 2
