"""Pieces of a source as they were admitted, cut into days: read once, and kept by content.

A piece that was read before is known by what the signals' manifest says of it. Its rows lie under
.cll/segments, where nothing is lost that can't be read again.
"""

import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from cll.pipeline.ingest import admit as step
from cll.pipeline.ingest import deduplicate, parquet
from cll.pipeline.ingest.profile import profile
from cll.system import disk, frames, links, manifest
from cll.system.partitions import sweep
from cll.system.stat_cache import stamp
from cll.types.errors import Busy, CllError
from cll.types.records import Chunk, Piece
from cll.types.tables import Columns, span
from cll.types.times import format_instant

_FACTS, _PLACES, _REJECTS, _INCIDENTS = (
    "segment.json",
    "places.parquet",
    "rejects.parquet",
    "incidents",
)
_MAKING = ".making-"
Facts = Mapping[str, Any]


class Segments:
    """The segments of one ingest; `common` is what all records follow from besides their pieces.

    A day that one piece alone tells of lies in `partitions`, folders of signals, and not here, too.
    """

    def __init__(
        self, folder: Path, common: object, columns: Columns, partitions: Sequence[Path]
    ) -> None:
        self._folder = folder
        self._common = disk.digest(common)
        self._columns = columns
        self._partitions = partitions
        self._pieces: dict[str, Piece] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._sound: dict[Path, list[int]] = {}  # files as they were when they were hashed
        self._locks: dict[str, threading.RLock] = {}
        sweep(folder, _MAKING)

    def of(self, piece: Piece, known: Mapping[str, Facts]) -> list[tuple[str, Facts]]:
        """Return the segments of a piece by content: name and facts; read it if nothing is known.

        There are several where a piece comes in several chunks.
        """
        first = self._name(piece, 0)
        count = (known.get(first) or self._of(first)["facts"]).get("chunks", 1)
        names = [first, *(self._name(piece, number) for number in range(1, count))]
        return [(name, known.get(name) or self._of(name)["facts"]) for name in names]

    def _name(self, piece: Piece, number: int) -> str:
        key = {**piece.key, "chunk": number} if number else piece.key
        name = disk.digest([self._common, piece.table, key])[:24]
        self._pieces[name] = piece
        return name

    def take(self, name: str, date: str, target: Path) -> str:
        """Move the file of a day's rows as they are kept; return its digest."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(name):
            source = self._path(name, f"{date}.parquet", date)
            if source.is_relative_to(self._folder):
                shutil.move(source, target)
            else:
                shutil.copyfile(source, target)
        return str(self._of(name)["files"][f"{date}.parquet"])

    def profile(self, name: str, date: str) -> dict[str, Any]:
        """Say what a day's rows look like."""
        return dict(self._of(name)["profiles"][date])

    def rows(self, name: str, date: str, bounds: tuple[str, str] | None = None) -> pl.DataFrame:
        """Return a day's rows, or those of the entities within `bounds`, with `file` and `row`."""
        with self._lock(name):
            facts, path = self._of(name)["facts"], self._path(name, f"{date}.parquet", date)
            rows = pl.scan_parquet(path, hive_partitioning=False)
            before = sum(one["rows"] for day, one in facts["days"].items() if day < date)
            places = pl.scan_parquet(self._path(name, _PLACES))
            places = places.slice(before, facts["days"][date]["rows"])
            placed = pl.concat([rows, places], how="horizontal")
            if bounds is not None:
                placed = placed.filter(
                    pl.col("entity").is_between(pl.lit(bounds[0]), pl.lit(bounds[1]))
                )
            return placed.select(
                pl.all().exclude("row"),
                file=pl.lit(facts["file"]),
                row=pl.col("row").cast(pl.Int64),
            ).collect()

    def entities(self, name: str, date: str) -> pl.DataFrame:
        """Count a day's rows by entity."""
        with self._lock(name):
            path = self._path(name, f"{date}.parquet", date)
            entities = pl.scan_parquet(path, hive_partitioning=False).select("entity").collect()
        return entities.group_by("entity").agg(rows=pl.len())

    def incidents(self, name: str) -> pl.DataFrame:
        """Return a piece's incidents, with `file` and `row`."""
        return frames.read_frame(self._path(name, f"{_INCIDENTS}.parquet"))

    def rejects(self, name: str) -> pl.DataFrame:
        """Return what was wrong with a piece's records."""
        return frames.read_frame(self._path(name, _REJECTS))

    def _of(self, name: str) -> dict[str, Any]:
        """Return what is said of a segment; make it where that isn't there, or isn't what it was."""
        with self._lock(name):
            if name not in self._told:
                try:
                    self._told[name] = disk.read_checked(self._folder / name / _FACTS)
                except CllError:
                    self._told[name] = self._make(name)
            return self._told[name]

    def _lock(self, name: str) -> threading.RLock:
        """Return what is held while a segment is made or read: days of it are read at once."""
        first = self._name(self._pieces[name], 0)
        return self._locks.setdefault(first, threading.RLock())

    def _path(self, name: str, file: str, date: str | None = None) -> Path:
        """Return a file of a segment, or the partition that holds it; make what is neither."""
        wanted, own = self._of(name)["files"].get(file), self._folder / name / file
        others = [folder / manifest.part(date) for folder in self._partitions] if date else []
        for path in (own, *others):
            if path.is_file() and self._is_sound(path, wanted):
                return path
        self._told[name] = self._make(name)
        return own

    def _is_sound(self, path: Path, wanted: str | None) -> bool:
        now = stamp(path)
        if self._sound.get(path) == now:
            return True
        if disk.sha256(path) != wanted:
            return False
        self._sound[path] = now
        return True

    def _make(self, name: str) -> dict[str, Any]:
        """Read a piece and make all of its segments; return what is said of this one.

        The first is believed last: it says how many there are.
        """
        piece, names = self._pieces[name], list[str]()
        for chunk in piece.chunks():
            if chunk.replaces:
                for old in names:
                    links.remove(self._folder / old, ignore_errors=True)
                names.clear()
            names.append(self._name(piece, len(names)))
            self._told[names[-1]] = self._write(names[-1], piece, chunk)
            if len(names) > 1:
                self._believe(names[-1])
            del chunk  # the next is read while nothing else is held
        if len(names) > 1:
            self._told[names[0]]["facts"]["chunks"] = len(names)
        self._believe(names[0])
        if name not in names:
            raise Busy(f"{piece.name}: changed while it was read; run again.")
        return self._told[name]

    def _believe(self, name: str) -> None:
        told = disk.checked_bytes(self._told[name])
        (self._folder / name).mkdir(exist_ok=True)
        disk.write_scratch_bytes(self._folder / name / _FACTS, told)

    def _write(self, name: str, piece: Piece, chunk: Chunk) -> dict[str, Any]:
        admitted = step.admit(chunk, self._columns)
        scratch = self._folder / f"{_MAKING}{os.getpid()}-{name}"
        links.remove(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        told: dict[str, Any] = {"files": {}, "profiles": {}}
        days: dict[str, Any] = {}
        if piece.table == "signals":
            days = _write_days(scratch, admitted.rows, self._columns, told)
        else:
            _write(scratch, f"{_INCIDENTS}.parquet", admitted.rows, told)
        if admitted.quarantine.height:
            _write(scratch, _REJECTS, admitted.quarantine, told)
        told["facts"] = {
            "days": days,
            "file": piece.name,
            "pending": chunk.pending,
            "quarantined": admitted.quarantine.height,
            "records": chunk.records,
            "rows": admitted.rows.height,
            "table": piece.table,
        }
        if chunk.header is not None:
            told["facts"]["header"] = asdict(chunk.header)
        folder = self._folder / name
        links.remove(folder, ignore_errors=True)
        try:
            scratch.rename(folder)
            self._sound |= {folder / file: stamp(folder / file) for file in told["files"]}
        except OSError:  # another process was faster: its bytes are the same
            links.remove(scratch, ignore_errors=True)
        return told


def _write_days(
    folder: Path, rows: pl.DataFrame, columns: Columns, told: dict[str, Any]
) -> dict[str, Any]:
    """Write each day's rows as a partition holds them, so that one may become a partition."""
    days, places = {}, []
    for date, unsorted in step.by_day(_without("file", rows)):
        of_day = deduplicate.sort(unsorted)
        kept = _without("row", of_day)
        told["files"][f"{date}.parquet"] = parquet.write(folder / f"{date}.parquet", kept)
        places.append(of_day["row"].cast(pl.UInt32))
        told["profiles"][date] = profile(kept, columns)
        first, last = span(kept["known_at"])
        days[date] = {
            "first": format_instant(first),
            "last": format_instant(last),
            "repeats": deduplicate.repeats(kept),
            "rows": kept.height,
            "sha256": told["files"][f"{date}.parquet"],
        }
    if places:
        placed = pl.concat(places).to_frame()  # of all days, the earliest first
        told["files"][_PLACES] = parquet.write(folder / _PLACES, placed)
    return days


def _without(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame([column for column in rows if column.name != name])


def _write(folder: Path, name: str, frame: pl.DataFrame, told: dict[str, Any]) -> None:
    told["files"][name] = frames.write_scratch(folder / name, frame)
