"""Comparison of a row with its peers: the latest value of each other entity at that time.

Entities are seldom sampled at the same second, so a peer's value is its latest, up to a maximum age.
Later rows are used only with a delay, and never if known after the compared row was scored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Ge

from cll.pipeline.featurize.windows import peer_rank, rolling
from cll.pipeline.featurize.windows.known_rows import ALWAYS, VisibleColumns
from cll.pipeline.featurize.windows.rolling import Rows
from cll.types.arrays import Floats, Integers
from cll.types.errors import config_error
from cll.types.tables import GROUP
from cll.types.times import Duration, format_duration

_CELLS = 200_000  # cells (instants times entities) computed at once: they fit in a cache
_DAY = 86_400_000_000  # microseconds

Comparison = Literal["rank", "ratio", "deviation", "mean"]


@dataclass(frozen=True)
class Peers:
    """Settings of the comparison with the other entities' latest values.

    The instant of comparison is the row's time rounded down to a multiple of `grid`, plus `delay`.
    A grid keeps the number of instants small where each of many entities is sampled at its own
    second; peer values are then up to `grid` older. The delay never reaches into the next UTC day.
    """

    statistics: tuple[Comparison, ...] = ("rank", "ratio")
    within: Literal["all", "group"] = "all"
    grid: Duration = timedelta(0)
    delay: Duration = timedelta(0)
    max_age: Duration = timedelta(minutes=5)
    least: Annotated[int, Ge(1)] = 2

    def __post_init__(self) -> None:
        if self.delay >= self.max_age:
            value = format_duration(self.delay)
            way_out = "after that delay the row's own value is too old; raise max_age."
            raise config_error("features.peers.delay", value, way_out)

    @property
    def reach(self) -> timedelta:
        return self.grid + self.max_age


@dataclass(frozen=True)
class PeerValues:
    """Statistics of each row's value among `others` peer values; NaN where not computed."""

    others: Integers
    own: Floats  # the row's value
    rank: Floats  # share of the peer values below it, ties counting half
    ratio: Floats  # the row's value divided by the median of the peer values
    mean: Floats  # mean of the peer values and the row's own value


@dataclass(frozen=True)
class _Lines:
    """Instants of comparison; an instant has a further line for rows with other hidden records."""

    line: Integers  # number of the line of each row
    at: Integers  # the instant of each line, ascending
    known_until: Integers  # records that became known later are not used in the line


@dataclass(frozen=True)
class _Table:
    """Some lines, the rows compared in them, and the latest row of each entity at each line."""

    rows: Integers
    line: Integers  # number of the line of each of `rows`, from 0
    entity: Integers  # entity of each of `rows`
    known_until: Integers  # as in _Lines, for each line
    latest: Integers  # (lines, entities): latest row; -1 where none is young enough


def compare(
    signals: pl.DataFrame,
    columns: list[Floats],
    settings: Peers,
    statistics: tuple[Comparison, ...],
    visible: VisibleColumns | None = None,
) -> list[PeerValues]:
    """Return the peer values of each column; the time is proportional to instants times entities.

    `visible` recomputes the columns where a late record was not yet known when the row was scored.
    """
    if settings.within == "group" and GROUP not in signals.columns:
        way_out = "the source has no groups; use all."
        raise config_error("features.peers.within", "group", way_out)
    size = signals.height
    results = [PeerValues(np.zeros(size, np.int64), *np.full((4, size), np.nan)) for _ in columns]
    for members in _fleets(signals, GROUP if settings.within == "group" else None):
        rows = rolling.number(signals[members])
        for table in _tables(rows, members, settings, visible):
            cells = _cells(table, columns, visible)
            for (values, x), into in zip(cells, results, strict=True):
                peers = peer_rank.build(values, table.line, table.entity, x)
                _fill(into, table.rows, peers, statistics)
    return results


def _fill(
    into: PeerValues,
    rows: Integers,
    peers: peer_rank.PeerTable,
    statistics: tuple[Comparison, ...],
) -> None:
    into.others[rows] = peers.others
    if "deviation" in statistics:
        into.own[rows] = peers.x
    if "rank" in statistics:
        into.rank[rows] = peer_rank.rank(peers)
    if "ratio" in statistics:
        into.ratio[rows] = peer_rank.ratio(peers)
    if "mean" in statistics or "deviation" in statistics:
        into.mean[rows] = peer_rank.mean(peers)


def features(
    signals: pl.DataFrame,
    values: Mapping[str, Floats],
    settings: Peers,
    statistics: tuple[Comparison, ...],
    visible: VisibleColumns | None = None,
) -> Iterator[tuple[str, Floats]]:
    """Yield each column's statistics as features; NaN with fewer than `least` peer values."""
    if not statistics:
        return
    results = compare(signals, list(values.values()), settings, statistics, visible)
    for name, peer_values in zip(values, results, strict=True):
        named = {
            "rank": (f"{name}_rank", peer_values.rank),
            "ratio": (f"{name}_peer_ratio", peer_values.ratio),
            "deviation": (f"{name}_peer_deviation", peer_values.own - peer_values.mean),
            "mean": (f"{name}_peer_mean", peer_values.mean),
        }
        enough = peer_values.others >= settings.least
        for statistic in statistics:
            feature, column = named[statistic]
            yield feature, np.where(enough, column, np.nan)


def _fleets(signals: pl.DataFrame, group: str | None) -> list[Integers]:
    """Return the rows of each group, in order of its first row; all rows where `group` is None."""
    if group is None:
        return [np.arange(signals.height)]
    fleets = signals.with_row_index("row").group_by(group, maintain_order=True).agg("row")
    return [rows.to_numpy().astype(np.int64) for rows in fleets["row"]]


def _tables(
    rows: Rows, members: Integers, settings: Peers, visible: VisibleColumns | None
) -> Iterator[_Table]:
    from cll.pipeline.featurize.windows import search

    lines = _lines(rows, members, settings, visible)
    max_age = rolling.microseconds(settings.max_age)
    visibility = visible.visibility if visible and len(visible.visibility.late) else None
    known_at = None if visibility is None else visibility.known_at[members]
    order = np.argsort(lines.line, kind="stable")
    line = lines.line[order]
    following = rows.bounds[:-1].copy()
    step = max(1, _CELLS // max(1, len(following)))
    for start in range(0, len(lines.at), step):
        some = slice(start, start + step)
        low, high = np.searchsorted(line, [start, start + step])
        compared = order[low:high]
        latest = np.empty((len(lines.at[some]), len(following)), np.int64)
        search.latest(rows.time, rows.bounds, following, lines.at[some], max_age, latest)
        if known_at is not None:
            _before_hidden(
                latest, rows, known_at, (lines.at[some], lines.known_until[some]), max_age
            )
        yield _Table(
            members[compared],
            line[low:high] - start,
            rows.entity[compared],
            lines.known_until[some],
            np.where(latest >= 0, members[latest], -1),
        )


def _lines(
    rows: Rows, members: Integers, settings: Peers, visible: VisibleColumns | None
) -> _Lines:
    grid, delay = rolling.microseconds(settings.grid), rolling.microseconds(settings.delay)
    at = (rows.time // grid * grid if grid else rows.time) + delay
    if delay:
        at = np.minimum(at, (rows.time // _DAY + 1) * _DAY - 1)
    instants, rank = np.unique(at, return_inverse=True)
    if visible is None or not len(visible.visibility.late):
        return _Lines(rank, instants, np.full(len(instants), ALWAYS))
    scored = visible.visibility.scored[members]
    since = at - rolling.microseconds(settings.max_age + visible.reach)
    visible_sets = visible.visibility.visible_sets(since, at, scored)
    key = rank * (len(visible.visibility.late) + 2) + visible_sets + 1
    _, first, line = np.unique(key, return_index=True, return_inverse=True)
    return _Lines(line, at[first], np.where(visible_sets[first] < 0, ALWAYS, scored[first]))


def _before_hidden(
    latest: Integers, rows: Rows, known_at: Integers, lines: tuple[Integers, Integers], max_age: int
) -> None:
    """Replace each row that became known too late for its line by the entity's row before it.

    The search ends at a row that was known in time, or sets -1 where the next row is too old.
    """
    at, until = lines
    line, entity = np.nonzero((latest >= 0) & (known_at[latest] > until[:, None]))
    while len(line):
        row = latest[line, entity] - 1
        has_value = (
            (row >= 0) & (rows.entity[row] == entity) & (at[line] - rows.time[row] < max_age)
        )
        latest[line, entity] = np.where(has_value, row, -1)
        on = has_value & (known_at[row] > until[line])
        line, entity = line[on], entity[on]


def _cells(
    table: _Table, columns: list[Floats], visible: VisibleColumns | None
) -> Iterator[tuple[Floats, Floats]]:
    """Yield for each column the values in each line, and the values of the compared rows."""
    has_value = table.latest >= 0
    cell = np.flatnonzero(has_value & (table.known_until < ALWAYS)[:, None])
    compared, recomputed = np.zeros(0, np.int64), None
    if visible and len(visible.visibility.late):
        row = np.append(table.latest.ravel()[cell], table.rows)
        scored = visible.visibility.scored[table.rows]
        until = np.append(table.known_until[cell // has_value.shape[1]], scored)
        hidden = visible.visibility.hides(row, until, visible.reach)
        recomputed = visible.columns(row[hidden], until[hidden])
        cell, compared = cell[hidden[: len(cell)]], np.flatnonzero(hidden[len(cell) :])
    for i, values in enumerate(columns):
        cells, x = np.where(has_value, values[table.latest], np.nan), values[table.rows]
        if recomputed:
            cells.ravel()[cell], x[compared] = np.split(recomputed[i], [len(cell)])
        yield cells, x
