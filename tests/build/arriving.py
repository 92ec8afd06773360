"""Files of arriving telemetry, and a simple model of how ingest has to count each record."""

import csv
import io
import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

FIELDS = ("entity", "time", "known_at", "failed", "cpu_usage")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = (".jsonl", ".csv")


@dataclass(frozen=True)
class Record:
    """One published record. `bad` names its defect; with `bad="blank"` it is a blank line and no record."""

    entity: str
    time: datetime
    cpu: float | None
    failed: int | None
    delay: timedelta = timedelta(0)
    bad: str = ""

    @property
    def values(self):
        return {
            "entity": "" if self.bad == "nameless" else self.entity,
            "time": "soon" if self.bad == "soon" else stamp(self.time),
            "known_at": stamp(self.time + self.delay),
            "failed": self.failed,
            "cpu_usage": self.cpu,
        }


@dataclass(frozen=True)
class Line:
    """One line of a file: its record, and the `as_of` at which it was first seen complete."""

    record: Record
    arrived: datetime | None = None


@dataclass(repr=False)
class File:
    """A file of a source: its complete lines, and a last line that is still being written."""

    path: Path  # path on the disk
    name: str  # name in the source
    first: datetime | None = None  # the as_of at which the file was first seen
    lines: list[Line] = field(default_factory=list)
    torn: Record | None = None
    torn_text: str = ""  # the part of the last line that is written
    tail: Line | None = None  # the record as which this part is read, if it can be read
    tail_seen: datetime | None = None  # the as_of at which this part was first seen

    def __repr__(self):
        return self.name

    @property
    def form(self):
        return self.path.suffix

    def append(self, records):
        """Add complete lines; first complete the last one if it was torn."""
        text = ""
        if self.torn is not None:
            text = line(self.form, self.torn)[len(self.torn_text) :]
            was_taken = text == "\n" and self.tail is not None and self.tail.arrived
            self.lines.append(self.tail if was_taken else Line(self.torn))
            self.torn = self.tail = None
        if not self.path.exists() and self.form == ".csv":
            text = ",".join(FIELDS) + "\n"
        self.lines += [Line(one) for one in records]
        if self.form == ".parquet":
            self._write_parquet()
        else:
            self._write(text + "".join(line(self.form, one) for one in records))

    def tear(self, record, share):
        """Write the beginning of a line. A CSV line that has all its fields is read as a record."""
        if self.torn is not None:
            self.append([])
        self.torn, self.torn_text = record, ""
        self.go_on(share)

    def go_on(self, share):
        """Write more of the last line without completing it."""
        text = line(self.form, self.torn).rstrip("\n")
        more = text[len(self.torn_text) : max(1, int(len(text) * share))]
        if not more:
            return
        self.torn_text += more
        self.tail, self.tail_seen = self._read(text), None
        self._write(more)

    def _read(self, text):
        whole = self.torn_text == text
        if self.form == ".jsonl":
            return Line(self.torn) if whole else None
        if self.torn_text.count(",") < text.count(","):
            return None
        value = self.torn_text.rpartition(",")[2]
        cpu = None if value in {"", "-"} else float(value)
        return Line(replace(self.torn, cpu=cpu, bad="odd" if value == "-" else ""))

    def is_whole(self, as_of):
        """Return whether the last line counts as a record although it has no newline."""
        if self.tail is None:
            return False
        return self.form == ".jsonl" or (self.tail_seen is not None and self.tail_seen < as_of)

    def arrive(self, as_of):
        self.first = self.first or as_of
        self.lines = [one if one.arrived else replace(one, arrived=as_of) for one in self.lines]
        self.tail_seen = self.tail_seen or as_of
        if self.is_whole(as_of) and not self.tail.arrived:
            self.tail = replace(self.tail, arrived=as_of)

    def places(self, as_of):
        """Yield each record with its row number, as quarantine counts it."""
        first = 2 if self.form == ".csv" else 1
        lines = [*self.lines, self.tail] if self.is_whole(as_of) else self.lines
        for row, one in enumerate(lines, first):
            if one.record.bad != "blank":
                yield row, one

    def _write(self, text):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(text.encode())

    def _write_parquet(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = [one.record.values for one in self.lines]
        kinds = {"entity": pl.String, "time": pl.String, "known_at": pl.String}
        schema = {**kinds, "cpu_usage": pl.Float64, "failed": pl.Int64}
        pl.DataFrame(rows, schema=schema).write_parquet(self.path)


@dataclass(frozen=True)
class Account:
    """Expected result of ingest."""

    kept: dict  # (entity, time): the values that are kept
    quarantined: set  # (file, row)
    counts: dict
    days: dict  # the valid records of each day, with their places
    waiting: set  # days with pending records

    @property
    def refused(self):
        """Return whether the schema can't be learnt, because no record has a value."""
        return all(cpu is None for cpu, *_ in self.kept.values())


def stamp(instant):
    return instant.isoformat().replace("+00:00", "Z")


def line(form, record):
    if record.bad == "blank":
        return "\n"
    if record.bad == "broken":
        return "{oops\n" if form == ".jsonl" else "x,y\n"
    if form == ".jsonl":
        return json.dumps(record.values) + "\n"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(record.values.values())
    return text.getvalue()


def account(files, as_of, known):
    """Return the expected result, record by record; `known` is on_time, arrival or told."""
    groups, days, waiting = defaultdict(list), defaultdict(set), set()
    quarantined, pending, records = set(), 0, 0
    for file in files:
        torn = file.torn is not None and not file.is_whole(as_of)
        records, pending = records + torn, pending + torn
        for row, one in file.places(as_of):
            records += 1
            record, place = one.record, (file.name, row)
            if record.bad:
                quarantined.add(place)
                continue
            told = {"on_time": record.time, "told": record.time + record.delay}
            # Neither a row nor its outcome is known before it happened.
            since = max(told.get(known, one.arrived), record.time)
            day = record.time.date().isoformat()
            days[day].add((place, record, since))
            if since > as_of:
                pending += 1
                waiting.add(day)
            else:
                groups[record.entity, record.time].append((record, since, place))
    kept, conflicts = {}, set()
    for key, rows in groups.items():
        kept[key], lost = _settle(rows)
        conflicts |= lost
    quarantined |= conflicts
    counts = {"in": records, "kept": len(kept), "quarantined": len(quarantined), "pending": pending}
    counts["duplicate"] = records - len(kept) - len(quarantined) - pending
    return Account(kept, quarantined, counts, dict(days), waiting)


def _settle(rows):
    """Return the values kept for one entity and time, and the places of conflicting records."""
    alike = defaultdict(list)
    for row in rows:
        alike[_number(row[0].cpu)].append(row)
    variants = []
    for cpu, group in alike.items():
        since = min(row[1] for row in group)
        outcomes = {row[0].failed for row in group} - {None} or {None}
        for failed in outcomes:
            saying = [row for row in group if row[0].failed == failed]
            told_at, place = min((row[1], row[2]) for row in saying)
            told_at = None if failed is None else told_at
            if failed is None:
                place = min(row[2] for row in saying)
            order = (since, *((x is None, x or 0) for x in (_seconds(told_at), failed, cpu)))
            variants.append((order, (cpu, failed, since, told_at), place))
    variants.sort()
    return variants[0][1], {place for _, _, place in variants[1:]}


def _seconds(instant):
    return None if instant is None else instant.timestamp()


def _number(value):
    return None if value is None else value + 0.0
