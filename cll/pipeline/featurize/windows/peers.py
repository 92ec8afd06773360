"""How a row compares with its peers: the latest value of each other entity, as known at that time.

Entities are seldom sampled at the same second. So a peer's value is its latest at the instant of
comparison, if it is younger than a limit. Nothing later than the row takes part, unless the
comparison is told to wait for those who report with a delay; and nothing that became known after
the row was scored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Ge

from cll.pipeline.featurize.windows import peer_rank, rolling
from cll.pipeline.featurize.windows.known_rows import ALWAYS, Watch
from cll.pipeline.featurize.windows.rolling import Rows
from cll.types.arrays import Floats, Integers
from cll.types.errors import config_error
from cll.types.tables import GROUP
from cll.types.times import Duration, format_duration

_CELLS = 200_000  # of a table of instants and entities that is worked at once: they fit a cache
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
    own: Floats  # the row's value
    rank: Floats  # share of the others below it, ties counting half
    ratio: Floats  # to the median of the others
    mean: Floats  # of the others and its own


@dataclass(frozen=True)
class _Lines:
    """Instants of comparison; one is there again for rows from which other records are hidden."""

    of: Integers  # the line of each row
    at: Integers  # the instant of each line, rising
    known: Integers  # until when a record became known that takes part


@dataclass(frozen=True)
class _Table:
    """Some lines, the rows that are compared in them, and each entity's latest row by then."""

    rows: Integers
    line: Integers  # of each of `rows`, from 0
    entity: Integers  # of each of `rows`
    known: Integers  # of each line
    latest: Integers  # (lines, entities); -1: none that is young enough


def compare(
    signals: pl.DataFrame,
    columns: list[Floats],
    settings: Peers,
    statistics: tuple[Comparison, ...],
    watch: Watch | None = None,
) -> list[Standing]:
    """Compare each row of each column; costs instants times entities.

    `watch` knows what is hidden from a row, and the columns as it sees them then.
    """
    if settings.within == "group" and GROUP not in signals.columns:
        says = "the source has no groups; use all."
        raise config_error("features.peers.within", "group", says)
    size = signals.height
    found = [Standing(np.zeros(size, np.int64), *np.full((4, size), np.nan)) for _ in columns]
    for members in _fleets(signals, GROUP if settings.within == "group" else None):
        rows = rolling.number(signals[members])
        for table in _tables(rows, members, settings, watch):
            met = _met(table, columns, watch)
            for (values, x), into in zip(met, found, strict=True):
                _fill(into, table, peer_rank.show(values, table.line, table.entity, x), statistics)
    return found


def _fill(
    into: Standing, table: _Table, shown: peer_rank.Shown, statistics: tuple[Comparison, ...]
) -> None:
    into.others[table.rows] = shown.others
    if "deviation" in statistics:
        into.own[table.rows] = shown.x
    if "rank" in statistics:
        into.rank[table.rows] = peer_rank.rank(shown)
    if "ratio" in statistics:
        into.ratio[table.rows] = peer_rank.ratio(shown)
    if "mean" in statistics or "deviation" in statistics:
        into.mean[table.rows] = peer_rank.mean(shown)


def compared(
    signals: pl.DataFrame,
    values: Mapping[str, Floats],
    settings: Peers,
    statistics: tuple[Comparison, ...],
    watch: Watch | None = None,
) -> Iterator[tuple[str, Floats]]:
    """Yield each column's statistics as features; with fewer others than `least`, NaN."""
    if not statistics:
        return
    found = compare(signals, list(values.values()), settings, statistics, watch)
    for name, stands in zip(values, found, strict=True):
        figures = {
            "rank": (f"{name}_rank", stands.rank),
            "ratio": (f"{name}_peer_ratio", stands.ratio),
            "deviation": (f"{name}_peer_deviation", stands.own - stands.mean),
            "mean": (f"{name}_peer_mean", stands.mean),
        }
        enough = stands.others >= settings.least
        for statistic in statistics:
            label, figure = figures[statistic]
            yield label, np.where(enough, figure, np.nan)


def _fleets(signals: pl.DataFrame, group: str | None) -> list[Integers]:
    """Return the rows of each fleet, in order of the fleet's first row."""
    if group is None:
        return [np.arange(signals.height)]
    fleets = signals.with_row_index("row").group_by(group, maintain_order=True).agg("row")
    return [rows.to_numpy().astype(np.int64) for rows in fleets["row"]]


def _tables(
    rows: Rows, members: Integers, settings: Peers, watch: Watch | None
) -> Iterator[_Table]:
    from cll.pipeline.featurize.windows import search

    lines, max_age = _lines(rows, members, settings, watch), rolling.microseconds(settings.max_age)
    known = watch.sight.known[members] if watch and len(watch.sight.late) else None
    order = np.argsort(lines.of, kind="stable")
    of = lines.of[order]
    following = rows.bounds[:-1].copy()
    step = max(1, _CELLS // max(1, len(following)))
    for start in range(0, len(lines.at), step):
        some = slice(start, start + step)
        low, high = np.searchsorted(of, [start, start + step])
        asking = order[low:high]
        latest = np.empty((len(lines.at[some]), len(following)), np.int64)
        search.latest(rows.time, rows.bounds, following, lines.at[some], max_age, latest)
        if known is not None:
            _before_hidden(latest, rows, known, (lines.at[some], lines.known[some]), max_age)
        yield _Table(
            members[asking],
            of[low:high] - start,
            rows.entity[asking],
            lines.known[some],
            np.where(latest >= 0, members[latest], -1),
        )


def _lines(rows: Rows, members: Integers, settings: Peers, watch: Watch | None) -> _Lines:
    grid, delay = rolling.microseconds(settings.grid), rolling.microseconds(settings.delay)
    at = (rows.time // grid * grid if grid else rows.time) + delay
    if delay:
        at = np.minimum(at, (rows.time // _DAY + 1) * _DAY - 1)
    instants, rank = np.unique(at, return_inverse=True)
    if watch is None or not len(watch.sight.late):
        return _Lines(rank, instants, np.full(len(instants), ALWAYS))
    scored = watch.sight.scored[members]
    since = at - rolling.microseconds(settings.max_age + watch.reach)
    told = watch.sight.told(since, at, scored)
    key = rank * (len(watch.sight.late) + 2) + told + 1
    _, first, of = np.unique(key, return_index=True, return_inverse=True)
    return _Lines(of, at[first], np.where(told[first] < 0, ALWAYS, scored[first]))


def _before_hidden(
    latest: Integers, rows: Rows, known: Integers, lines: tuple[Integers, Integers], max_age: int
) -> None:
    """Go back from rows that became known too late for a line, as far as one may lie."""
    at, until = lines
    line, entity = np.nonzero((latest >= 0) & (known[latest] > until[:, None]))
    while len(line):
        row = latest[line, entity] - 1
        there = (row >= 0) & (rows.entity[row] == entity) & (at[line] - rows.time[row] < max_age)
        latest[line, entity] = np.where(there, row, -1)
        on = there & (known[row] > until[line])
        line, entity = line[on], entity[on]


def _met(
    table: _Table, columns: list[Floats], watch: Watch | None
) -> Iterator[tuple[Floats, Floats]]:
    """Yield of each column the values in each line, and those of the rows that are compared."""
    there = table.latest >= 0
    cell = np.flatnonzero(there & (table.known < ALWAYS)[:, None])
    asking, anew = np.zeros(0, np.int64), None
    if watch and len(watch.sight.late):
        row = np.append(table.latest.ravel()[cell], table.rows)
        until = np.append(table.known[cell // there.shape[1]], watch.sight.scored[table.rows])
        hidden = watch.sight.hides(row, until, watch.reach)
        anew = watch.columns(row[hidden], until[hidden])
        cell, asking = cell[hidden[: len(cell)]], np.flatnonzero(hidden[len(cell) :])
    for i, values in enumerate(columns):
        met, x = np.where(there, values[table.latest], np.nan), values[table.rows]
        if anew:
            met.ravel()[cell], x[asking] = np.split(anew[i], [len(cell)])
        yield met, x
