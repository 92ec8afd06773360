"""Rank, ratio and mean of a value among the peer values of an instant, without its own entity's."""

from dataclasses import dataclass

import numpy as np

from cll.types.arrays import Flags, Floats, Integers


@dataclass(frozen=True)
class PeerTable:
    """Rows to compare, and the sorted values of all entities at their instants."""

    order: Floats  # (instants, entities): sorted, padded with infinity
    line: Integers  # each row's line in `order`
    x: Floats  # each row's value
    own: Floats  # the latest value of the row's entity at that instant, most often `x`
    others: Integers  # number of peer values

    @property
    def counted(self) -> Flags:
        """Return whether the row's own entity has a value in `order`, which has to be left out."""
        return np.isfinite(self.own)


def build(values: Floats, line: Integers, place: Integers, x: Floats) -> PeerTable:
    """Return the table for each `x` and its line of `values` (instants, entities).

    `place` is the column of the row's own entity.
    """
    order = np.sort(np.where(np.isfinite(values), values, np.inf), axis=1)
    own = values[line, place]
    others = np.isfinite(values).sum(axis=1)[line] - np.isfinite(own)
    return PeerTable(order, line, x, own, others)


def rank(table: PeerTable) -> Floats:
    """Return the share of the peer values below each row's value, ties counting half."""
    x, own = table.x, table.own
    below = _count(table.order, table.line, x, ties=False) - (table.counted & (own < x))
    up_to = _count(table.order, table.line, x, ties=True) - (table.counted & (own <= x))
    rank = (below + (up_to - below) / 2) / np.maximum(table.others, 1)
    return np.where(np.isfinite(x) & (table.others > 0), rank, np.nan)


def ratio(table: PeerTable) -> Floats:
    """Return the ratio of each row's value to the median of the peer values."""
    order, x = table.order, table.x
    place = _count(order, table.line, table.own, ties=False)
    place = np.where(table.counted, place, order.shape[1])
    middle = _median(order, table.line, table.others, place)
    usable = np.isfinite(x) & (table.others > 0) & (middle != 0)
    with np.errstate(over="ignore"):
        return np.divide(x, middle, out=np.full_like(x, np.nan), where=usable)


def mean(table: PeerTable) -> Floats:
    """Return the mean of all values, including the row's own."""
    # cumsum adds strictly in order, so the bits do not depend on how many entities have no value.
    total = np.cumsum(np.where(np.isfinite(table.order), table.order, 0.0), axis=1)
    count = table.others + table.counted
    return np.where(count > 0, total[table.line, -1] / np.maximum(count, 1), np.nan)


def _count(order: Floats, line: Integers, x: Floats, *, ties: bool) -> Integers:
    """Return how many values in the line of `order` are below `x` (with `ties`, or equal to it)."""
    from cll.pipeline.featurize.windows import search

    counts = np.empty(len(line), np.int64)
    search.count(order, line, x, ties, counts)
    return counts


def _median(order: Floats, line: Integers, others: Integers, place: Integers) -> Floats:
    """Return the median of a line's values, without the one at `place`."""
    width = order.shape[1]
    halves = []
    for half in ((np.maximum(others, 1) - 1) // 2, others // 2):
        at = np.minimum(half + (half >= place), width - 1)
        halves.append(order[line, at])
    finite: Flags = others > 0
    low, high = (np.where(finite, h, 0.0) for h in halves)
    return low + (high - low) / 2
