"""Daily partitions of signals, built from all pieces that have rows of the day.

A large day is built in parts that fit in memory. A part holds whole entities in their order, about
`bucket_rows` rows. The cuts between parts depend on the records only.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl

from cll.pipeline.ingest import deduplicate, parquet
from cll.pipeline.ingest.profile import merged, profile
from cll.pipeline.ingest.segments import Facts, Segments
from cll.system import frames as system_frames
from cll.system import manifest
from cll.system.partitions import Renewal
from cll.types.errors import DataRefused
from cll.types.tables import Columns
from cll.types.times import format_instant, parse_instant

_MOST = 4_000_000  # rows of a part that always fit in memory
_NONE = {"duplicate": 0, "pending": 0, "quarantined": 0}
Bounds = tuple[str, str]  # the first and the last entity of a part
Pieces = Mapping[str, Facts]  # facts about the rows of one day, by piece


@dataclass(frozen=True)
class DayInputs:
    """The inputs that all days share."""

    renewal: Renewal
    segments: Segments
    columns: Columns
    as_of: datetime
    bucket_rows: int


@dataclass(frozen=True)
class _Task:
    """A day that has to be built from several pieces, or deduplicated."""

    date: str
    pieces: Mapping[str, bool]  # by name: whether it has two rows of one key
    made_of: object
    rows: int


def renew(inputs: DayInputs, days: Mapping[str, Pieces]) -> Iterator[str]:
    """Reuse each unchanged day, and build the others; yield the date of each finished day.

    Small days are built in parallel, up to `bucket_rows` rows at a time.
    """
    several: list[_Task] = []
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        for date, pieces in days.items():
            task = _task(inputs, date, pieces)
            if task is None:
                yield date
            elif sum(waiting.rows for waiting in [*several, task]) > inputs.bucket_rows:
                yield from _settle_all(inputs, pool, several)
                several = [task]
            else:
                several.append(task)
        yield from _settle_all(inputs, pool, several)


def _task(inputs: DayInputs, date: str, pieces: Pieces) -> _Task | None:
    """Return the work that is left for a day; None if no work is left.

    A day depends on `as_of` only while some of its rows are not known yet.
    """
    waits = max(parse_instant(facts["last"]) for facts in pieces.values()) > inputs.as_of
    (name, only), *others = pieces.items()
    if not (others or waits or only["repeats"] or only["rows"] > inputs.bucket_rows):
        _take_over(inputs, date, name, only)
        return None
    rows = sorted((facts["sha256"], name) for name, facts in pieces.items())
    made_of = {"rows": rows, "as_of": format_instant(inputs.as_of) if waits else None}
    if inputs.renewal.reuse(date, made_of):
        return None
    repeats = {name: facts["repeats"] for name, facts in pieces.items()}
    return _Task(date, repeats, made_of, sum(facts["rows"] for facts in pieces.values()))


def _settle_all(inputs: DayInputs, pool: Executor, tasks: Sequence[_Task]) -> Iterator[str]:
    for task, (totals, files) in zip(
        tasks, pool.map(partial(_settle_day, inputs), tasks), strict=True
    ):
        for name, sha256 in files.items():
            inputs.renewal.put(name, sha256)
        inputs.renewal.add(task.date, task.made_of, totals)
        yield task.date


def _take_over(inputs: DayInputs, date: str, name: str, only: Facts) -> None:
    """Use a piece's file as the partition: it has all rows of the day, known and without repeats."""
    if inputs.renewal.reuse(date, only["sha256"]):
        return
    taken = manifest.part(date)
    inputs.renewal.put(taken, inputs.segments.take(name, date, inputs.renewal.staging / taken))
    whole = {"rows": only["rows"], "profile": inputs.segments.profile(name, date)}
    inputs.renewal.add(date, only["sha256"], {**_NONE, **whole})


def _settle_day(inputs: DayInputs, task: _Task) -> tuple[dict[str, Any], dict[str, str]]:
    """Write a day's files; return its counts and profile, and the digest of each file."""
    totals: dict[str, Any] = {**_NONE, "rows": 0}
    files: dict[str, str] = {}
    profiles, rejects, staging = [], [], inputs.renewal.staging
    for number, bounds in enumerate(_buckets(inputs, task)):
        frames, read = _distinct(inputs, task, bounds)
        totals["duplicate"] += read - sum(frame.height for frame in frames)
        settled = deduplicate.settle(pl.concat(frames), inputs.columns, inputs.as_of)
        del frames
        totals["duplicate"] += settled.duplicate
        totals["pending"] += settled.pending
        totals["rows"] += settled.kept.height
        totals["quarantined"] += settled.quarantine.height
        rejects.append(settled.quarantine)
        if settled.kept.height:
            part = manifest.part(task.date, number)
            files[part] = parquet.write(staging / part, settled.kept)
            profiles.append(profile(settled.kept, inputs.columns))
    if profiles:
        totals["profile"] = merged(profiles)
    if totals["quarantined"]:
        name = manifest.rejected(task.date)
        files[name] = system_frames.write_scratch(staging / name, pl.concat(rejects))
    return totals, files


def _distinct(
    inputs: DayInputs, task: _Task, bounds: Bounds | None
) -> tuple[list[pl.DataFrame], int]:
    """Return a part's rows by piece without exact repeats, and the number of rows read."""
    frames: list[pl.DataFrame] = []
    read = kept = 0
    for name, repeats in task.pieces.items():
        rows = inputs.segments.rows(name, task.date, bounds)
        read += rows.height
        frames.append(deduplicate.distinct(rows, inputs.as_of) if repeats else rows)
        kept += frames[-1].height
        if kept > max(_MOST, 2 * inputs.bucket_rows):
            whose = pl.concat(frame.select("file", "entity") for frame in frames)
            file, entity, _ = whose.group_by("file", "entity").len().sort("len", "file").row(-1)
            raise DataRefused(
                f"{file}: {entity[:80]!r} has so many records on {task.date} that memory can't hold "
                f"them; leave some out, or raise ingest.bucket_rows={inputs.bucket_rows}."
            )
    return frames, read


def _buckets(inputs: DayInputs, task: _Task) -> Iterator[Bounds | None]:
    """Yield the bounds of each part; yield a single None if the whole day is one part."""
    if task.rows <= inputs.bucket_rows:
        yield None
        return
    entities = pl.concat(inputs.segments.entities(name, task.date) for name in task.pieces)
    counted = entities.group_by("entity").agg(pl.sum("rows")).sort("entity")
    part = (pl.col("rows").cum_sum() - 1) // inputs.bucket_rows
    bounds = counted.group_by(part.alias("part"), maintain_order=True).agg(
        first=pl.first("entity"), last=pl.last("entity")
    )
    yield from bounds.select("first", "last").rows()
