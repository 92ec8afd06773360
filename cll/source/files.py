"""Telemetry from files as they were published: JSONL, JSON, CSV and Parquet, mixed in one folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from cll.errors import DataRefused, Unavailable
from cll.reading import casting, folders, formats, instants
from cll.reading.fields import Field, Kind
from cll.reading.records import Records, faults_frame
from cll.values import (
    GROUP,
    INCIDENTS,
    INSTANT,
    OUTCOME,
    OUTCOME_KNOWN_AT,
    REJECTS,
    SIGNAL_KEYS,
    TRUTH_PREFIX,
    Arrival,
    Chunk,
    Columns,
    Duration,
    Instant,
    config_error,
)

Table = Literal["signals", "incidents"]
Mapped = dict[str, str | None]  # canonical to published; null: there is none

_SIGNAL_KINDS: dict[str, Kind] = {
    "entity": "name",
    "time": "instant",
    "known_at": "instant",
    GROUP: "name",
    OUTCOME: "outcome",
    OUTCOME_KNOWN_AT: "instant",
}
_INCIDENT_KINDS: dict[str, Kind] = {
    "entity": "name",
    "start": "instant",
    "end": "instant",
    "known_at": "instant",
    "kind": "name",
}
_RESERVED = frozenset({"failed", "label", "file", "row", "date", "start", "end", "kind"})
_PLACE = {"file": pl.String, "row": pl.Int64}


def _as_published() -> Mapped:
    numeric = ("cpu_usage", "memory_usage", "error_rate", "response_time")
    return {"entity": "entity", "time": "time", **{n: n for n in numeric}, OUTCOME: "failed"}


def _intervals() -> Mapped:
    return {n: n for n in ("entity", "start", "end", "kind")}


@dataclass(frozen=True)
class Clock:
    """The time of rows that tell none, by their number in the one file they come from."""

    start: Instant
    step: Duration


@dataclass(frozen=True)
class Signals:
    """The table of telemetry, or of runs with their outcome."""

    files: tuple[str, ...] = ("**/*",)
    columns: Mapped = field(default_factory=_as_published)
    time_format: str = "iso"
    zone: str | None = "UTC"
    scale: dict[str, float] = field(default_factory=dict)
    unit: dict[str, str] = field(default_factory=dict)
    entity_default: str | None = None
    clock: Clock | None = None

    def __post_init__(self) -> None:
        key = "source.signals.columns"
        reserved = [n for n in self.columns if n in _RESERVED or n.startswith(TRUTH_PREFIX)]
        if reserved:
            way = f"the name is reserved; the outcome is {OUTCOME}, others are free."
            raise config_error(f"{key}.{reserved[0]}", self.columns[reserved[0]], way)
        if (self.column("entity") is None) == (self.entity_default is None):
            way = "name a column, or else set signals.entity_default."
            raise config_error(f"{key}.entity", self.column("entity"), way)
        if (self.column("time") is None) == (self.clock is None):
            way = "name a column, or else set signals.clock."
            raise config_error(f"{key}.time", self.column("time"), way)
        casting.check_units("source.signals", self.numeric, self.scale, self.unit)
        if not self.fields:
            raise config_error(key, self.columns, "names no column.")
        instants.check_times("source.signals", self.time_format, self.zone)

    def column(self, name: str) -> str | None:
        return self.columns.get(name)

    @property
    def numeric(self) -> tuple[str, ...]:
        # Sorted, since composing a config may sort its keys.
        return tuple(sorted(n for n, c in self.columns.items() if c and n not in _SIGNAL_KINDS))

    @property
    def fields(self) -> list[Field]:
        numbers = [
            Field(n, self.columns[n] or "", "number", *casting.factors(n, self.scale, self.unit))
            for n in self.numeric
        ]
        return casting.fields(self.columns, _SIGNAL_KINDS, self.time_format, self.zone) + numbers


@dataclass(frozen=True)
class Incidents:
    """The table of intervals in which an entity failed; a blank end means still failing."""

    files: tuple[str, ...]
    columns: Mapped = field(default_factory=_intervals)
    time_format: str = "iso"
    zone: str | None = "UTC"

    def __post_init__(self) -> None:
        key = "source.incidents.columns"
        unknown = [n for n in self.columns if n not in _INCIDENT_KINDS]
        if unknown:
            way = f"there are: {', '.join(_INCIDENT_KINDS)}."
            raise config_error(f"{key}.{unknown[0]}", self.columns[unknown[0]], way)
        lacking = [n for n in ("entity", "start", "end") if self.columns.get(n) is None]
        if lacking:
            raise config_error(f"{key}.{lacking[0]}", None, "name the published column.")
        instants.check_times("source.incidents", self.time_format, self.zone)

    @property
    def fields(self) -> list[Field]:
        return casting.fields(self.columns, _INCIDENT_KINDS, self.time_format, self.zone)


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
    def missing(self) -> str | None:
        """Say in one line what isn't there to be read, or None."""
        way = "put the files there or set source.path"
        if self.fallback == "none":
            way += "; source.fallback=synthetic simulates"
        if not folders.exists(self.path):
            return f"source.path={self.path}: no such folder; {way}."
        for table, files in self._tables.items():
            if not files:
                settings = self.signals if table == "signals" else self.incidents
                wanted = ", ".join(settings.files if settings else ())
                return f"source.path={self.path}: no file fits {table}.files={wanted}; {way}."
        clock, count = self.signals.clock, len(self._tables["signals"])
        if clock is not None and count > 1:
            return f"source.path={self.path}: signals.clock needs one file and {count} are there."
        return None

    @property
    def skipped(self) -> tuple[str, ...]:
        """What fits the patterns and is passed over, with the reason, for a person to read."""
        patterns = (*self.signals.files, *(self.incidents.files if self.incidents else ()))
        return folders.listed(self.path, patterns).skipped

    @property
    def reads(self) -> tuple[Path, ...]:
        if self.missing is not None:
            raise Unavailable(self.missing)
        found = (path for files in self._tables.values() for path in files)
        return tuple(sorted(found, key=Path.as_posix))

    def __call__(self, as_of: datetime, arrivals: Sequence[Arrival]) -> Iterator[Chunk]:
        """Yield a chunk a file, incidents last; `as_of` cuts nothing here, ingest does."""
        del as_of
        if self.missing is not None:
            raise Unavailable(self.missing)
        seen = {arrival.file: arrival.as_of for arrival in arrivals}
        for table, files in self._tables.items():
            for path in files:
                yield self._chunk(table, path, seen)

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

    def _chunk(self, table: Table, path: Path, seen: dict[str, datetime]) -> Chunk:
        file, schema = path.as_posix(), self._schemas[table]
        fields = self.incidents.fields if table == "incidents" and self.incidents else None
        fields = fields or self.signals.fields
        wanted = list(dict.fromkeys(one.column for one in fields))
        try:
            records = casting.cast(formats.read(file, path.read_bytes(), wanted), fields)
        except (DataRefused, OSError) as why:
            faults, rows = faults_frame([(None, None, None, _reason(why))]), pl.DataFrame()
        else:
            arrived = None if self.backfill == "on_time" else seen[file]
            faults, rows = records.faults, self._dated(table, records, arrived)
            rows = rows.with_columns(pl.lit(file).alias("file"), pl.Series("row", records.at))
        placed = [pl.lit(table).alias("table"), pl.lit(file).alias("file")]
        rejects = faults.with_columns(placed).select(list(REJECTS))
        rows = rows.select(list(schema)) if rows.width else pl.DataFrame(schema=schema)
        return Chunk(table, rows, rejects, rows.height + rejects.height)

    def _dated(self, table: Table, records: Records, arrived: datetime | None) -> pl.DataFrame:
        """Fill in what the file doesn't tell: entity, time, and when each row was known."""
        rows, happened = records.rows, "time" if table == "signals" else "start"
        if table == "incidents" and "kind" not in rows:
            rows = rows.with_columns(kind=pl.lit(None, dtype=pl.String))
        if table == "signals" and self.signals.entity_default is not None:
            rows = rows.with_columns(entity=pl.lit(self.signals.entity_default))
        if table == "signals" and self.signals.clock is not None:
            rows = rows.with_columns(time=_ticks(records, self.signals.clock))
        if "known_at" not in rows:
            known = pl.col(happened) if arrived is None else pl.lit(arrived, dtype=INSTANT)
            rows = rows.with_columns(known_at=known)
        if OUTCOME in rows and OUTCOME_KNOWN_AT not in rows:
            told = pl.when(pl.col(OUTCOME).is_not_null()).then("known_at")
            rows = rows.with_columns(told.alias(OUTCOME_KNOWN_AT))
        return rows


def _ticks(records: Records, clock: Clock) -> pl.Expr:
    everything = np.sort(np.concatenate([records.at, records.faults["row"].to_numpy()]))
    number = pl.Series(np.searchsorted(everything, records.at), dtype=pl.Int64)
    step = pl.lit(clock.step, dtype=pl.Duration("us"))
    return pl.lit(clock.start, dtype=INSTANT) + pl.lit(number) * step


def _reason(why: Exception) -> str:
    text = why.strerror or str(why) if isinstance(why, OSError) else str(why)
    return text.rstrip(".")
