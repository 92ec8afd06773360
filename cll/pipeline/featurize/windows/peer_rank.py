"""Where a value stands among the values of an instant, its own entity's left out."""

from dataclasses import dataclass

import numpy as np

from cll.types.arrays import Flags, Floats, Integers


@dataclass(frozen=True)
class Shown:
    """The values that the rows of a table meet at their instants."""

    order: Floats  # (instants, entities): sorted, infinite behind the last
    line: Integers  # in `order`, of each row
    x: Floats  # of each row
    own: Floats  # the latest value of the row's entity: most often `x`
    others: Integers  # values beside its own

    @property
    def counted(self) -> Flags:
        """Whether the row's own entity has a value in `order`, to be taken out again."""
        return np.isfinite(self.own)


def show(values: Floats, line: Integers, place: Integers, x: Floats) -> Shown:
    """Let each `x` meet a line of `values` (instants, entities), its own standing at `place`."""
    order = np.sort(np.where(np.isfinite(values), values, np.inf), axis=1)
    own = values[line, place]
    others = np.isfinite(values).sum(axis=1)[line] - np.isfinite(own)
    return Shown(order, line, x, own, others)


def rank(shown: Shown) -> Floats:
    """Return the share of the others below each row, ties counting half; by binary search."""
    x, own = shown.x, shown.own
    below = _count(shown.order, shown.line, x, ties=False) - (shown.counted & (own < x))
    up_to = _count(shown.order, shown.line, x, ties=True) - (shown.counted & (own <= x))
    rank = (below + (up_to - below) / 2) / np.maximum(shown.others, 1)
    return np.where(np.isfinite(x) & (shown.others > 0), rank, np.nan)


def ratio(shown: Shown) -> Floats:
    """Return what each row is to the median of the others."""
    order, x = shown.order, shown.x
    place = _count(order, shown.line, shown.own, ties=False)
    place = np.where(shown.counted, place, order.shape[1])
    middle = _median(order, shown.line, shown.others, place)
    usable = np.isfinite(x) & (shown.others > 0) & (middle != 0)
    with np.errstate(over="ignore"):
        return np.divide(x, middle, out=np.full_like(x, np.nan), where=usable)


def mean(shown: Shown) -> Floats:
    """Return the mean of all values, the row's own among them."""
    # A running sum adds in the order of the values, however many entities have none.
    total = np.cumsum(np.where(np.isfinite(shown.order), shown.order, 0.0), axis=1)
    count = shown.others + shown.counted
    return np.where(count > 0, total[shown.line, -1] / np.maximum(count, 1), np.nan)


def _count(order: Floats, line: Integers, x: Floats, *, ties: bool) -> Integers:
    """Count what lies below `x` (or ties with it) in its line of `order`."""
    from cll.pipeline.featurize.windows import search

    found = np.empty(len(line), np.int64)
    search.count(order, line, x, ties, found)
    return found


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
