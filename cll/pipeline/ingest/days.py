"""Days of signals, out of the pieces that have rows of them, in parts that memory can hold.

A part holds whole entities, about `bucket_rows` rows of them, in their order: where the parts are
cut follows from the records alone.
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

_MOST = 4_000_000  # rows that are settled at once in any case
_NONE = {"duplicate": 0, "pending": 0, "quarantined": 0}
Bounds = tuple[str, str]  # the first and the last entity of a part
Pieces = Mapping[str, Facts]  # what the pieces with rows of a day say of it, by name


@dataclass(frozen=True)
class Making:
    """What days are made of, and how."""

    renewal: Renewal
    segments: Segments
    columns: Columns
    as_of: datetime
    bucket_rows: int


@dataclass(frozen=True)
class _Task:
    """A day that has to be settled."""

    date: str
    pieces: Mapping[str, bool]  # by name: whether a key stands twice in it
    made_of: object
    rows: int


def renew(making: Making, days: Mapping[str, Pieces]) -> Iterator[str]:
    """Keep each day that stands, and make the others; yield a day that is done.

    Days are settled at once as long as their rows together are those of one part.
    """
    several: list[_Task] = []
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        for date, pieces in days.items():
            task = _task(making, date, pieces)
            if task is None:
                yield date
            elif sum(one.rows for one in [*several, task]) > making.bucket_rows:
                yield from _settled(making, pool, several)
                several = [task]
            else:
                several.append(task)
        yield from _settled(making, pool, several)


def _task(making: Making, date: str, pieces: Pieces) -> _Task | None:
    """Say what is left to be done. A day depends on `as_of` while some of it isn't known."""
    waits = max(parse_instant(one["last"]) for one in pieces.values()) > making.as_of
    (name, only), *others = pieces.items()
    if not (others or waits or only["repeats"] or only["rows"] > making.bucket_rows):
        _take_over(making, date, name, only)
        return None
    rows = sorted((one["sha256"], name) for name, one in pieces.items())
    made_of = {"rows": rows, "as_of": format_instant(making.as_of) if waits else None}
    if making.renewal.reuse(date, made_of):
        return None
    repeats = {name: one["repeats"] for name, one in pieces.items()}
    return _Task(date, repeats, made_of, sum(one["rows"] for one in pieces.values()))


def _settled(making: Making, pool: Executor, tasks: Sequence[_Task]) -> Iterator[str]:
    for task, (told, files) in zip(tasks, pool.map(partial(_settle, making), tasks), strict=True):
        for name, sha256 in files.items():
            making.renewal.put(name, sha256)
        making.renewal.add(task.date, task.made_of, told)
        yield task.date


def _take_over(making: Making, date: str, name: str, only: Facts) -> None:
    """Take a piece's rows as they are: they are all of the day, all known, and none stands twice."""
    if making.renewal.reuse(date, only["sha256"]):
        return
    taken = manifest.part(date)
    making.renewal.put(taken, making.segments.take(name, date, making.renewal.staging / taken))
    whole = {"rows": only["rows"], "profile": making.segments.profile(name, date)}
    making.renewal.add(date, only["sha256"], {**_NONE, **whole})


def _settle(making: Making, task: _Task) -> tuple[dict[str, Any], dict[str, str]]:
    """Write a day's files; return what is said of it, and their digests."""
    told: dict[str, Any] = {**_NONE, "rows": 0}
    files: dict[str, str] = {}
    profiles, rejects, staging = [], [], making.renewal.staging
    for number, bounds in enumerate(_buckets(making, task)):
        frames, read = _distinct(making, task, bounds)
        told["duplicate"] += read - sum(frame.height for frame in frames)
        found = deduplicate.settle(pl.concat(frames), making.columns, making.as_of)
        del frames
        told["duplicate"] += found.duplicate
        told["pending"] += found.pending
        told["rows"] += found.kept.height
        told["quarantined"] += found.quarantine.height
        rejects.append(found.quarantine)
        if found.kept.height:
            part = manifest.part(task.date, number)
            files[part] = parquet.write(staging / part, found.kept)
            profiles.append(profile(found.kept, making.columns))
    if profiles:
        told["profile"] = merged(profiles)
    if told["quarantined"]:
        name = manifest.rejected(task.date)
        files[name] = system_frames.write_scratch(staging / name, pl.concat(rejects))
    return told, files


def _distinct(making: Making, task: _Task, bounds: Bounds | None) -> tuple[list[pl.DataFrame], int]:
    """Return the rows of a part, without those that are repeated as they are, and all their number."""
    frames: list[pl.DataFrame] = []
    read = kept = 0
    for name, repeats in task.pieces.items():
        rows = making.segments.rows(name, task.date, bounds)
        read += rows.height
        frames.append(deduplicate.distinct(rows, making.as_of) if repeats else rows)
        kept += frames[-1].height
        if kept > max(_MOST, 2 * making.bucket_rows):
            whose = pl.concat(frame.select("file", "entity") for frame in frames)
            file, entity, _ = whose.group_by("file", "entity").len().sort("len", "file").row(-1)
            raise DataRefused(
                f"{file}: {entity[:80]!r} has so many records on {task.date} that memory can't hold "
                f"them; leave some out, or raise ingest.bucket_rows={making.bucket_rows}."
            )
    return frames, read


def _buckets(making: Making, task: _Task) -> Iterator[Bounds | None]:
    """Yield the bounds of each part; None where one part holds all."""
    if task.rows <= making.bucket_rows:
        yield None
        return
    entities = pl.concat(making.segments.entities(name, task.date) for name in task.pieces)
    counted = entities.group_by("entity").agg(pl.sum("rows")).sort("entity")
    part = (pl.col("rows").cum_sum() - 1) // making.bucket_rows
    bounds = counted.group_by(part.alias("part"), maintain_order=True).agg(
        first=pl.first("entity"), last=pl.last("entity")
    )
    yield from bounds.select("first", "last").rows()
