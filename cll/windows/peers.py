"""How a row compares with its peers: the latest value of each other entity, as known at that time.

Entities are seldom sampled at the same second. So a peer's value is its latest at the instant of
comparison, if it is younger than a limit. Nothing later than the row takes part, unless the
comparison is told to wait for those who report with a delay.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Ge

from cll.values import GROUP, Duration, Flags, Floats, config_error, format_duration
from cll.windows import rolling
from cll.windows.rolling import Integers, Rows

_CELLS = 2_000_000  # of a table of instants and entities that is worked at once
_DAY = 86_400_000_000  # microseconds

Comparison = Literal["rank", "ratio", "deviation", "mean"]


@dataclass(frozen=True)
class Peers:
    """Comparison with the other entities' latest values at the row's time, or `delay` later.

    With a grid that time is the latest multiple of `grid`: where thousands of entities are each
    sampled at seconds of their own, it keeps the instants few, and peers are then up to `grid`
    older. A delay does not reach into the next UTC day, whose rows a day's features never wait for.
    """

    statistics: tuple[Comparison, ...] = ("rank", "ratio")
    within: Literal["all", "group"] = "all"
    grid: Duration = timedelta(0)
    delay: Duration = timedelta(0)
    max_age: Duration = timedelta(minutes=5)
    least: Annotated[int, Ge(1)] = 2

    def __post_init__(self) -> None:
        if self.delay >= self.max_age:
            found = format_duration(self.delay)
            way = "after that the row's own value is too old; raise max_age."
            raise config_error("features.peers.delay", found, way)

    @property
    def reach(self) -> timedelta:
        return self.grid + self.max_age


@dataclass(frozen=True)
class Standing:
    """Where each row's value stands among `others` values; NaN where that was not asked."""

    others: Integers
    rank: Floats  # share of the others below it, ties counting half
    ratio: Floats  # to the median of the others
    mean: Floats  # of the others and its own


@dataclass(frozen=True)
class _Table:
    """Some instants, the rows that are compared at them, and each entity's latest row by then."""

    rows: Integers
    instant: Integers  # of each of `rows`, from 0
    latest: Integers  # (instants, entities); -1: none that is young enough


def compare(
    signals: pl.DataFrame,
    columns: list[Floats],
    settings: Peers,
    statistics: tuple[Comparison, ...],
) -> list[Standing]:
    """Compare each row of each column; costs instants times entities."""
    if settings.within == "group" and GROUP not in signals.columns:
        says = "the source has no groups; use all."
        raise config_error("features.peers.within", "group", says)
    size = signals.height
    found = [Standing(np.zeros(size, np.int64), *np.full((3, size), np.nan)) for _ in columns]
    for members in _fleets(signals, GROUP if settings.within == "group" else None):
        rows = rolling.number(signals[members])
        for table in _tables(rows, settings):
            to = members[table.rows]
            for values, standing in zip(columns, found, strict=True):
                shown = _show(rows, table, values[members])
                standing.others[to] = shown.others
                if "rank" in statistics:
                    standing.rank[to] = _rank(shown)
                if "ratio" in statistics:
                    standing.ratio[to] = _ratio(shown)
                if "mean" in statistics or "deviation" in statistics:
                    standing.mean[to] = _mean(shown)
    return found


def compared(
    signals: pl.DataFrame,
    values: Mapping[str, Floats],
    settings: Peers,
    statistics: tuple[Comparison, ...],
) -> Iterator[tuple[str, Floats]]:
    """Yield each column's statistics as features; with fewer others than `least`, NaN."""
    if not statistics:
        return
    standings = compare(signals, list(values.values()), settings, statistics)
    for (name, x), standing in zip(values.items(), standings, strict=True):
        figures = {
            "rank": (f"{name}_rank", standing.rank),
            "ratio": (f"{name}_peer_ratio", standing.ratio),
            "deviation": (f"{name}_peer_deviation", x - standing.mean),
            "mean": (f"{name}_peer_mean", standing.mean),
        }
        enough = standing.others >= settings.least
        for statistic in statistics:
            label, figure = figures[statistic]
            yield label, np.where(enough, figure, np.nan)


def _fleets(signals: pl.DataFrame, group: str | None) -> list[Integers]:
    """Return the rows of each fleet, in order of the fleet's first row."""
    if group is None:
        return [np.arange(signals.height)]
    fleets = signals.with_row_index("row").group_by(group, maintain_order=True).agg("row")
    return [rows.to_numpy().astype(np.int64) for rows in fleets["row"]]


def _tables(rows: Rows, settings: Peers) -> Iterator[_Table]:
    grid, delay = rolling.microseconds(settings.grid), rolling.microseconds(settings.delay)
    at = (rows.time // grid * grid if grid else rows.time) + delay
    if delay:
        at = np.minimum(at, (rows.time // _DAY + 1) * _DAY - 1)
    instants, rank = np.unique(at, return_inverse=True)
    order = np.argsort(rank, kind="stable")
    entities = int(rows.entity[-1]) + 1 if len(rows.entity) else 1
    step = max(1, _CELLS // entities)
    for start in range(0, len(instants), step):
        some = instants[start : start + step]
        low, high = np.searchsorted(rank[order], [start, start + len(some)])
        members = order[low:high]
        yield _Table(
            members,
            rank[members] - start,
            _latest(rows, some, rolling.microseconds(settings.max_age)),
        )


def _latest(rows: Rows, instants: Integers, max_age: int) -> Integers:
    times, _ = rows.instants
    entities = np.arange(int(rows.entity[-1]) + 1)[:, None]
    known = np.searchsorted(times, instants, side="right")
    row = np.searchsorted(rows.key, entities * len(times) + known) - 1
    at = np.maximum(row, 0)
    there = (row >= 0) & (rows.entity[at] == entities) & (instants - rows.time[at] < max_age)
    return np.ascontiguousarray(np.where(there, row, -1).T)


@dataclass(frozen=True)
class _Shown:
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


def _show(rows: Rows, table: _Table, values: Floats) -> _Shown:
    shown = np.where(table.latest >= 0, values[table.latest], np.nan)
    order = np.sort(np.where(np.isfinite(shown), shown, np.inf), axis=1)
    own = shown[table.instant, rows.entity[table.rows]]
    others = np.isfinite(shown).sum(axis=1)[table.instant] - np.isfinite(own)
    return _Shown(order, table.instant, values[table.rows], own, others)


def _rank(shown: _Shown) -> Floats:
    """Rank by binary search."""
    x, own = shown.x, shown.own
    below = _count(shown.order, shown.line, x, ties=False) - (shown.counted & (own < x))
    up_to = _count(shown.order, shown.line, x, ties=True) - (shown.counted & (own <= x))
    rank = (below + (up_to - below) / 2) / np.maximum(shown.others, 1)
    return np.where(np.isfinite(x) & (shown.others > 0), rank, np.nan)


def _ratio(shown: _Shown) -> Floats:
    order, x = shown.order, shown.x
    place = _count(order, shown.line, shown.own, ties=False)
    place = np.where(shown.counted, place, order.shape[1])
    middle = _median(order, shown.line, shown.others, place)
    usable = np.isfinite(x) & (shown.others > 0) & (middle != 0)
    with np.errstate(over="ignore"):
        return np.divide(x, middle, out=np.full_like(x, np.nan), where=usable)


def _mean(shown: _Shown) -> Floats:
    """Return the mean of all values, the row's own among them."""
    # A running sum adds in the order of the values, however many entities have none.
    total = np.cumsum(np.where(np.isfinite(shown.order), shown.order, 0.0), axis=1)
    count = shown.others + shown.counted
    return np.where(count > 0, total[shown.line, -1] / np.maximum(count, 1), np.nan)


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
