"""Cache of the checked rows of each piece of a source, split by day, under .cll/segments.

An entry is named by the content of its piece, so each piece is read once. The facts of a piece
that was read before come from the signals' manifest. Lost entries are read again from the source.
"""

import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from cll.pipeline.ingest import admit, deduplicate, parquet
from cll.pipeline.ingest.profile import profile
from cll.system import disk, frames, links, manifest
from cll.system.partitions import sweep
from cll.system.stat_cache import stamp
from cll.types.errors import Busy, CllError
from cll.types.records import Chunk, Piece
from cll.types.tables import Columns, span
from cll.types.times import format_instant

_FACTS, _PLACES = "segment.json", "places.parquet"
_REJECTS, _INCIDENTS = "rejects.parquet", "incidents"
_SCRATCH = ".making-"
Facts = Mapping[str, Any]


class Segments:
    """The segments of one ingest.

    `common` is the part of the cache key that all pieces share (code, config, libraries). A day that
    has rows from one piece only was moved to a folder of `partitions`, and is read from there.
    """

    def __init__(
        self, folder: Path, common: object, columns: Columns, partitions: Sequence[Path]
    ) -> None:
        self._folder = folder
        self._common = disk.digest(common)
        self._columns = columns
        self._partitions = partitions
        self._pieces: dict[str, Piece] = {}
        self._descriptions: dict[str, dict[str, Any]] = {}
        self._sound: dict[Path, list[int]] = {}  # stamp of each file when its digest was checked
        self._locks: dict[str, threading.RLock] = {}
        sweep(folder, _SCRATCH)

    def read(self, piece: Piece, earlier: Mapping[str, Facts]) -> list[tuple[str, Facts]]:
        """Return name and facts of each segment of a piece; read the piece if `earlier` lacks them.

        A piece has one segment per chunk.
        """
        first = self._name(piece, 0)
        count = (earlier.get(first) or self._description(first)["facts"]).get("chunks", 1)
        names = [first, *(self._name(piece, number) for number in range(1, count))]
        return [(name, earlier.get(name) or self._description(name)["facts"]) for name in names]

    def _name(self, piece: Piece, number: int) -> str:
        key = {**piece.key, "chunk": number} if number else piece.key
        name = disk.digest([self._common, piece.table, key])[:24]
        self._pieces[name] = piece
        return name

    def take(self, name: str, date: str, target: Path) -> str:
        """Move the file of a day's rows to `target` (or copy a partition); return its digest."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(name):
            source = self._path(name, f"{date}.parquet", date)
            if source.is_relative_to(self._folder):
                shutil.move(source, target)
            else:
                shutil.copyfile(source, target)
        return str(self._description(name)["files"][f"{date}.parquet"])

    def profile(self, name: str, date: str) -> dict[str, Any]:
        """Return the profile of a day's rows."""
        return dict(self._description(name)["profiles"][date])

    def rows(self, name: str, date: str, bounds: tuple[str, str] | None = None) -> pl.DataFrame:
        """Return a day's rows, or those of the entities within `bounds`, with `file` and `row`."""
        with self._lock(name):
            facts = self._description(name)["facts"]
            path = self._path(name, f"{date}.parquet", date)
            rows = pl.scan_parquet(path, hive_partitioning=False)
            before = sum(of_day["rows"] for day, of_day in facts["days"].items() if day < date)
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
        """Return a piece's bad records, as REJECTS."""
        return frames.read_frame(self._path(name, _REJECTS))

    def _description(self, name: str) -> dict[str, Any]:
        """Return the description of a segment; build the segment if it is missing or damaged."""
        with self._lock(name):
            if name not in self._descriptions:
                try:
                    self._descriptions[name] = disk.read_checked(self._folder / name / _FACTS)
                except CllError:
                    self._descriptions[name] = self._build(name)
            return self._descriptions[name]

    def _lock(self, name: str) -> threading.RLock:
        """Return the lock of a piece; threads that read its days share its segments."""
        first = self._name(self._pieces[name], 0)
        return self._locks.setdefault(first, threading.RLock())

    def _path(self, name: str, file: str, date: str | None = None) -> Path:
        """Return a file of a segment, or the partition with the same bytes.

        Build it if neither exists.
        """
        wanted, own = self._description(name)["files"].get(file), self._folder / name / file
        others = [folder / manifest.part(date) for folder in self._partitions] if date else []
        for path in (own, *others):
            if path.is_file() and self._is_sound(path, wanted):
                return path
        self._descriptions[name] = self._build(name)
        return own

    def _is_sound(self, path: Path, wanted: str | None) -> bool:
        now = stamp(path)
        if self._sound.get(path) == now:
            return True
        if disk.sha256(path) != wanted:
            return False
        self._sound[path] = now
        return True

    def _build(self, name: str) -> dict[str, Any]:
        """Read a piece and write all of its segments; return the description of this one.

        The first segment's description is written last, since it holds the number of segments.
        """
        piece, names = self._pieces[name], list[str]()
        for chunk in piece.chunks():
            if chunk.replaces:
                for old in names:
                    links.remove(self._folder / old, ignore_errors=True)
                names.clear()
            names.append(self._name(piece, len(names)))
            self._descriptions[names[-1]] = self._write(names[-1], piece, chunk)
            if len(names) > 1:
                self._commit(names[-1])
            del chunk  # free it before the next is read
        if len(names) > 1:
            self._descriptions[names[0]]["facts"]["chunks"] = len(names)
        self._commit(names[0])
        if name not in names:
            raise Busy(f"{piece.name}: changed while it was read; run again.")
        return self._descriptions[name]

    def _commit(self, name: str) -> None:
        """Write the description of a segment, after which the segment is valid."""
        description = disk.checked_bytes(self._descriptions[name])
        (self._folder / name).mkdir(exist_ok=True)
        disk.write_scratch_bytes(self._folder / name / _FACTS, description)

    def _write(self, name: str, piece: Piece, chunk: Chunk) -> dict[str, Any]:
        admitted = admit.admit(chunk, self._columns)
        scratch = self._folder / f"{_SCRATCH}{os.getpid()}-{name}"
        links.remove(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        description: dict[str, Any] = {"files": {}, "profiles": {}}
        days: dict[str, Any] = {}
        if piece.table == "signals":
            days = _write_days(scratch, admitted.rows, self._columns, description)
        else:
            _write(scratch, f"{_INCIDENTS}.parquet", admitted.rows, description)
        if admitted.quarantine.height:
            _write(scratch, _REJECTS, admitted.quarantine, description)
        description["facts"] = {
            "days": days,
            "file": piece.name,
            "pending": chunk.pending,
            "quarantined": admitted.quarantine.height,
            "records": chunk.records,
            "rows": admitted.rows.height,
            "table": piece.table,
        }
        if chunk.header is not None:
            description["facts"]["header"] = asdict(chunk.header)
        folder = self._folder / name
        links.remove(folder, ignore_errors=True)
        try:
            scratch.rename(folder)
            self._sound |= {folder / file: stamp(folder / file) for file in description["files"]}
        except OSError:  # another process was first; it wrote the same bytes
            links.remove(scratch, ignore_errors=True)
        return description


def _write_days(
    folder: Path, rows: pl.DataFrame, columns: Columns, description: dict[str, Any]
) -> dict[str, Any]:
    """Write each day's rows in the form of a partition, so that a file can become one."""
    days, places = {}, []
    for date, unsorted in admit.by_day(_without("file", rows)):
        of_day = deduplicate.sort(unsorted)
        kept = _without("row", of_day)
        description["files"][f"{date}.parquet"] = parquet.write(folder / f"{date}.parquet", kept)
        places.append(of_day["row"].cast(pl.UInt32))
        description["profiles"][date] = profile(kept, columns)
        first, last = span(kept["known_at"])
        days[date] = {
            "first": format_instant(first),
            "last": format_instant(last),
            "repeats": deduplicate.repeats(kept),
            "rows": kept.height,
            "sha256": description["files"][f"{date}.parquet"],
        }
    if places:
        placed = pl.concat(places).to_frame()  # of all days, the earliest first
        description["files"][_PLACES] = parquet.write(folder / _PLACES, placed)
    return days


def _without(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame([column for column in rows if column.name != name])


def _write(folder: Path, name: str, frame: pl.DataFrame, description: dict[str, Any]) -> None:
    description["files"][name] = frames.write_scratch(folder / name, frame)
