"""Telemetry from files as they were published: JSONL, JSON, CSV and Parquet, mixed in one folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers import casting, chunks, extents, folders
from cll.pipeline.ingest.readers.extents import Extent
from cll.pipeline.ingest.readers.fields import Field
from cll.pipeline.ingest.readers.limits import Limits, refuse_over
from cll.pipeline.ingest.readers.mapping import Clock, Incidents, Mapped, Signals
from cll.pipeline.ingest.readers.records import Records, Wanted
from cll.types.errors import DataRefused, Unavailable, config_error
from cll.types.records import Arrived, Chunk, Piece, Table
from cll.types.tables import (
    GROUP,
    INCIDENTS,
    INSTANT,
    OUTCOME,
    OUTCOME_KNOWN_AT,
    REJECTS,
    SIGNAL_KEYS,
    Columns,
)
from cll.types.times import format_instant

_PLACE = {"file": pl.String, "row": pl.Int64}


@dataclass(frozen=True)
class Files:
    """Signals, and incidents where they lie in a table of their own.

    A file that fits both tables' patterns holds incidents. `labels` names further columns that tell
    the answer: they are refused as features.
    """

    path: str = "data/raw"
    signals: Signals = field(default_factory=Signals)
    incidents: Incidents | None = None
    labels: tuple[str, ...] = ()
    backfill: Literal["on_time", "arrival"] = "on_time"
    fallback: Literal["none", "synthetic"] = "none"
    last_line: Literal["wait", "read"] = "wait"  # for a last line without a newline
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in self.signals.numeric:
            if {name, self.signals.columns[name]} & set(self.labels):
                way = "it stands under source.labels, and a label is no feature."
                raise config_error(
                    f"source.signals.columns.{name}", self.signals.columns[name], way
                )

    @property
    def columns(self) -> Columns:
        return Columns(
            numeric=self.signals.numeric,
            outcome=self.signals.column(OUTCOME) is not None,
            group=self.signals.column(GROUP) is not None,
            refused=self.labels,
        )

    @property
    def maps_known_at(self) -> bool:
        """Whether the signals say themselves when each row was known."""
        return self.signals.column("known_at") is not None

    @property
    def missing(self) -> str | None:
        """Return in one line which file or folder is missing; None if all exist."""
        return self._missing(self._tables)

    def _missing(self, tables: dict[Table, tuple[Path, ...]]) -> str | None:
        way = "put the files there or set source.path"
        if self.fallback == "none":
            way += "; source.fallback=synthetic simulates"
        if not folders.exists(self.path):
            return f"source.path={self.path}: no such folder; {way}."
        for table, files in tables.items():
            if not files:
                settings = self.signals if table == "signals" else self.incidents
                wanted = ", ".join(settings.files if settings else ())
                return f"source.path={self.path}: no file fits {table}.files={wanted}; {way}."
        clock, count = self.signals.clock, len(tables["signals"])
        if clock is not None and count > 1:
            return f"source.path={self.path}: signals.clock needs one file and {count} are there."
        return None

    @property
    def skipped(self) -> tuple[str, ...]:
        """What fits the patterns and is passed over, with the reason, for a person to read."""
        patterns = (*self.signals.files, *(self.incidents.files if self.incidents else ()))
        return folders.listed(self.path, patterns).skipped

    def fits(self, file: str) -> bool:
        """Whether a file of this name would be read, were it there."""
        patterns = (*self.signals.files, *(self.incidents.files if self.incidents else ()))
        return folders.fits(self.path, patterns, file)

    @property
    def reads(self) -> tuple[Path, ...]:
        found = (path for files in self._there().values() for path in files)
        return tuple(sorted(found, key=Path.as_posix))

    def __call__(self, as_of: datetime, files: Sequence[Arrived]) -> Iterator[Piece]:
        """Yield the files' pieces, incidents last.

        Ingest, not this function, leaves out what is after `as_of`.
        """
        del as_of
        arrived = {one.file: one for one in files}
        for table, paths in self._there().items():
            for path in paths:
                file = path.as_posix()
                yield from self._pieces(table, arrived.get(file, Arrived(file, "", ())))

    def _pieces(self, table: Table, file: Arrived) -> Iterator[Piece]:
        dates_arrival = self.backfill == "arrival" and self._mapped(table).get("known_at") is None
        before = 0
        for extent in extents.extents(file, self.limits):
            key = extent.key
            if dates_arrival and extent.as_of is not None:
                key["as_of"] = format_instant(extent.as_of)
            if table == "signals" and self.signals.clock is not None:
                key["before"] = before
            stream = partial(self._chunks, table, extent, before)
            yield Piece(table, file.file, key, partial(chunks.joined, stream), stream)
            if "before" in key and len(file.parts) > 1:
                before += chunks.count(stream())
        if file.torn and not extents.waits_for_header(file):
            waiting = Chunk(table, *self._empty(table), 1, 1)
            yield Piece(table, file.file, {"file": file.file, "torn": True}, lambda: waiting)

    def _mapped(self, table: Table) -> Mapped:
        incidents = table == "incidents" and self.incidents is not None
        return self.incidents.columns if incidents and self.incidents else self.signals.columns

    def _there(self) -> dict[Table, tuple[Path, ...]]:
        tables = self._tables
        if (missing := self._missing(tables)) is not None:
            raise Unavailable(missing)
        return tables

    @property
    def _tables(self) -> dict[Table, tuple[Path, ...]]:
        signals = folders.listed(self.path, self.signals.files).files
        if self.incidents is None:
            return {"signals": signals}
        incidents = folders.listed(self.path, self.incidents.files).files
        return {
            "signals": tuple(path for path in signals if path not in incidents),
            "incidents": incidents,
        }

    @property
    def _schemas(self) -> dict[Table, dict[str, Any]]:
        columns = self.columns
        outcome = {OUTCOME: pl.Float64, OUTCOME_KNOWN_AT: INSTANT} if columns.outcome else {}
        group = {GROUP: pl.String} if columns.group else {}
        numeric = dict.fromkeys(columns.numeric, pl.Float64)
        return {
            "signals": {**SIGNAL_KEYS, **numeric, **outcome, **group, **_PLACE},
            "incidents": {**INCIDENTS, **_PLACE},
        }

    def _empty(self, table: Table) -> tuple[pl.DataFrame, pl.DataFrame]:
        return pl.DataFrame(schema=self._schemas[table]), pl.DataFrame(schema=REJECTS)

    def _chunks(self, table: Table, extent: Extent, before: int) -> Iterator[Chunk]:
        incidents = self.incidents.fields if table == "incidents" and self.incidents else None
        longest = self.limits.text_length
        fields = [replace(one, longest=longest) for one in incidents or self.signals.fields]
        bad, header = 0, None
        try:
            for records in extents.read(extent, _wanted(fields, self.limits)):
                header = records.header or header
                chunk = self._chunk(table, extent, casting.checked(records, fields), before)
                del records
                before += chunk.records
                bad += chunk.rejects.height
                refuse_over("bad_records", bad, self.limits.bad_records)
                yield chunk
                del chunk  # the next is read while nothing else is held
        except (DataRefused, OSError) as why:
            rows, _ = self._empty(table)
            rejects = chunks.refusal(why, table, extent.file)
            # Rows after a chunk still belong to the last header in it.
            yield Chunk(table, rows, rejects, 1, header=header, replaces=True)

    def _chunk(self, table: Table, extent: Extent, records: Records, before: int) -> Chunk:
        rows, rejects = self._empty(table)
        dated = self._dated(table, records, extent.as_of, before)
        # The file's name comes last, since selecting it would write it out row by row.
        rows = dated[[name for name in rows.columns if name not in _PLACE]].with_columns(
            pl.lit(extent.file).alias("file"), pl.Series("row", records.at, pl.Int64)
        )
        if records.faults.height:
            rejects = chunks.placed(records.faults, table, extent.file)
        total = rows.height + rejects.height
        return Chunk(table, rows, rejects, total, header=records.header)

    def _dated(
        self, table: Table, records: Records, arrived: datetime | None, before: int
    ) -> pl.DataFrame:
        """Fill in what the file doesn't tell: entity, time, and when each row was known."""
        rows, happened = records.rows, "time" if table == "signals" else "start"
        if table == "incidents" and "kind" not in rows:
            rows = rows.with_columns(kind=pl.lit(None, dtype=pl.String))
        if table == "signals" and self.signals.entity_default is not None:
            rows = rows.with_columns(entity=pl.lit(self.signals.entity_default))
        if table == "signals" and self.signals.clock is not None:
            rows = rows.with_columns(time=_ticks(records, self.signals.clock, before))
        if "known_at" not in rows:
            late = self.backfill == "arrival" and arrived is not None
            known_at = pl.lit(arrived, dtype=INSTANT) if late else pl.col(happened)
            rows = rows.with_columns(known_at=known_at)
        if OUTCOME in rows and OUTCOME_KNOWN_AT not in rows:
            outcome_known_at = pl.col("known_at")
            if rows[OUTCOME].null_count():
                outcome_known_at = pl.when(pl.col(OUTCOME).is_not_null()).then(outcome_known_at)
            rows = rows.with_columns(outcome_known_at.alias(OUTCOME_KNOWN_AT))
        return rows


def _wanted(fields: Sequence[Field], limits: Limits) -> Wanted:
    columns = dict.fromkeys(one.column for one in fields)
    others = {one.column for one in fields if one.kind != "number"}
    names = {one.column for one in fields if one.kind in {"name", "outcome"}}
    needed = dict.fromkeys(one.column for one in fields if one.needed)
    numbers, values = frozenset(columns.keys() - others), frozenset(columns.keys() - names)
    return Wanted(tuple(columns), tuple(needed), numbers, values, limits)


def _ticks(records: Records, clock: Clock, before: int) -> pl.Expr:
    everything = np.sort(np.concatenate([records.at, records.faults["row"].to_numpy()]))
    number = pl.Series(before + np.searchsorted(everything, records.at), dtype=pl.Int64)
    step = pl.lit(clock.step, dtype=pl.Duration("us"))
    return pl.lit(clock.start, dtype=INSTANT) + pl.lit(number) * step
