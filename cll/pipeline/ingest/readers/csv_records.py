"""CSV record by record: NumPy finds records and fields, and Polars parses only what is sound.

A header in the middle is in force for the records below it. It is a fault of its own, and so is each
record below one that lacks a wanted column.
"""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.ingest.readers import csv_headers
from cll.pipeline.ingest.readers.csv_quoting import NEWLINE, Cuts, cut, undecodable
from cll.pipeline.ingest.readers.limits import over
from cll.pipeline.ingest.readers.records import (
    EMPTY,
    NOT_UTF8,
    Fault,
    Numbers,
    Records,
    Wanted,
    faults_frame,
    refuse_lacking,
)
from cll.types.arrays import Flags
from cll.types.errors import DataRefused
from cll.types.records import Header
from cll.types.tables import VALUE_WIDTH


@dataclass(frozen=True)
class Above:
    """The header above a text that is a part of a file."""

    text: bytes = b""
    row: int = 0  # its line; 0: it is the one at the file's top
    shift: int = 0  # from lines that are counted from this header on to those of the file
    names: tuple[str, ...] = ()  # of the headers before it


TOP = Above()


@dataclass(frozen=True)
class _Section:
    """The records from one header up to the next."""

    names: tuple[str, ...]
    row: int  # the header's line in the file
    start: int  # the number of the first record below it


@dataclass(frozen=True)
class _Text:
    """A text with the places of its records."""

    data: bytes
    wanted: Wanted
    shift: int

    @cached_property
    def buffer(self) -> NDArray[np.uint8]:
        return np.frombuffer(self.data, dtype=np.uint8)

    @cached_property
    def cuts(self) -> Cuts:
        return cut(self.buffer)

    @cached_property
    def sizes(self) -> Numbers:
        return self.cuts.ends - self.cuts.starts

    @cached_property
    def filled(self) -> Flags:
        filled: Flags = self.sizes - (self.buffer[self.cuts.ends - 1] == NEWLINE) > 0
        return filled

    @cached_property
    def faulty(self) -> list[tuple[Flags, str]]:
        """Records that can't be read under any header, and why."""
        longest = self.wanted.limits.line_length
        return [
            (undecodable(self.data, self.cuts), NOT_UTF8),
            (self.sizes > longest + 1, over("line_length", longest)),
            (self.cuts.unpaired, "quotes do not pair up"),
        ]

    @cached_property
    def sound(self) -> Flags:
        """Records that can be read, if they have as many fields as their header."""
        sound = self.filled.copy()
        for mask, _ in self.faulty:
            sound &= ~mask
        return sound

    def record(self, i: int) -> bytes:
        return self.data[self.cuts.starts[i] : self.cuts.ends[i]]

    def fault(self, i: int, reason: str) -> Fault:
        text = self.record(i)[: 4 * VALUE_WIDTH].rstrip(b"\n").decode(errors="backslashreplace")
        return int(self.cuts.lines[i]), None, text, reason

    def rows(self, taken: Flags, names: Sequence[str]) -> pl.DataFrame:
        """Parse some of the records."""
        if taken[-1] and (first := int(np.argmax(taken))) + int(taken.sum()) == len(taken):
            body = self.data[self.cuts.starts[first] :]
        else:
            body = self.buffer[np.repeat(taken, self.sizes)].tobytes()
        return _rows(body, list(names), self.wanted.columns, int(taken.sum()))


def by_record(text: bytes, wanted: Wanted, above: Above = TOP) -> Records:
    """Read the wanted columns of any CSV."""
    found = _Text(above.text + text, wanted, above.shift)
    if not found.filled.any():
        raise DataRefused(f"{EMPTY}.")
    top = int(np.argmax(found.filled))
    names = header_of(found.record(top), wanted, above)
    first = _Section(tuple(names), above.row, top + 1)
    fit = not csv_headers.unfit(names, wanted)
    even = found.sound & (found.cuts.fields == len(names))
    even[: top + 1] = False
    rows = found.rows(even, names) if fit else None
    known = {*names, *above.names, *wanted.columns}
    sections = _sections(found, first, even, rows, known)
    if len(sections) > 1 or rows is None:
        return replace(_sectioned(found, sections), header=_last(found, sections, known))
    uneven = found.filled & ~even
    uneven[: top + 1] = False
    faults = [found.fault(i, _unfit_for(found, i, first)) for i in np.flatnonzero(uneven).tolist()]
    return Records(rows, found.cuts.lines[even], faults_frame(faults))


def _sections(
    text: _Text, first: _Section, even: Flags, rows: pl.DataFrame | None, known: set[str]
) -> list[_Section]:
    """Find the headers below the first; `rows` are those that are `even` with it.

    Their names become `known`.
    """
    if rows is None:
        maybe = text.sound.copy()
    else:
        maybe = text.sound & ~even
        suspects = csv_headers.suspects(rows, first.names, text.wanted, frozenset())
        if suspects is not None:
            maybe[np.flatnonzero(even)[suspects]] = True
    maybe[: first.start] = False
    sections = [first]
    for i in np.flatnonzero(maybe).tolist():
        fields = csv_headers.fields_of(text.record(i).rstrip(b"\n"))
        if fields and csv_headers.is_header(fields, sections[-1].names, text.wanted, known):
            line = int(text.cuts.lines[i]) + text.shift
            sections.append(_Section(tuple(fields), line, i + 1))
            known |= {*fields}
    return sections


def _sectioned(text: _Text, sections: Sequence[_Section]) -> Records:
    """Read the records of each section by its own header."""
    starts = np.array([one.start for one in sections])
    numbers = np.searchsorted(starts, np.arange(len(text.filled)), side="right") - 1
    is_header = np.zeros(len(text.filled), dtype=np.bool_)
    is_header[starts - 1] = True
    body = text.filled & ~is_header & (numbers >= 0)
    widths = np.array([len(one.names) for one in sections])
    even = body & text.sound & (text.cuts.fields == widths[numbers])
    rows, taken = [], np.zeros(len(text.filled), dtype=np.bool_)
    places: list[Numbers] = []
    for names in dict.fromkeys(one.names for one in sections):
        if not csv_headers.unfit(names, text.wanted):
            own = even & np.array([one.names == names for one in sections])[numbers]
            rows.append(text.rows(own, names))
            places.append(text.cuts.lines[own])
            taken |= own
    lines = np.concatenate([np.zeros(0, dtype=np.int64), *places])
    order = np.argsort(lines)
    nothing = _rows(b"", [], text.wanted.columns, 0)
    faults = [
        text.fault(i, _unfit_for(text, i, sections[numbers[i]]))
        for i in np.flatnonzero(body & ~taken).tolist()
    ]
    faults += [
        text.fault(now.start - 1, _of_header(now, before, text.wanted))
        for before, now in itertools.pairwise(sections)
    ]
    return Records(pl.concat([nothing, *rows])[order], lines[order], faults_frame(faults))


def _last(text: _Text, sections: Sequence[_Section], known: set[str]) -> Header | None:
    """Return the last header below the first."""
    if len(sections) == 1:
        return None
    line = text.record(sections[-1].start - 1).rstrip(b"\n").decode(errors="replace")
    return Header(sections[-1].row, line.removeprefix("\ufeff"), tuple(sorted(known)))


def _unfit_for(text: _Text, i: int, section: _Section) -> str:
    """Return why a record is not read."""
    why = csv_headers.unfit(section.names, text.wanted)
    if why:
        return f"{csv_headers.BELOW} in line {section.row}, which {why}"
    reason = next((reason for mask, reason in text.faulty if mask[i]), None)
    return reason or _ragged(int(text.cuts.fields[i]), len(section.names))


def _of_header(now: _Section, before: _Section, wanted: Wanted) -> str:
    if now.names == before.names:
        return "the header again"
    why = csv_headers.unfit(now.names, wanted)
    if why:
        return f"{csv_headers.MIDDLE} that {why}; the rows below are left out"
    return f"{csv_headers.MIDDLE}; the rows below are read by it"


def _ragged(found: int, needed: int) -> str:
    hint = "; write decimal points, and quote a text that has commas" if found > needed else ""
    return f"{found} fields where the header has {needed}{hint}"


def header_of(line: bytes, wanted: Wanted, above: Above) -> list[str]:
    """Return a header's names; one at a file's top has to name all wanted columns."""
    if b"\r" in line.rstrip(b"\r\n"):
        raise DataRefused("its lines end in CR alone; write LF or CRLF.")
    try:
        names = next(csv.reader(io.StringIO(line.decode(), newline="")))
    except (UnicodeDecodeError, csv.Error) as why:
        raise DataRefused(f"the header can't be read: {why}.") from None
    other = next((mark for mark in ";\t|" if mark in names[0]), None)
    if len(names) == 1 and other is not None:
        raise DataRefused(f"the fields seem to be divided by {other!r}; write commas.")
    data = any(name[:1].isdigit() for name in names) and not {*names} & {*wanted.columns}
    hint = "The first line seems to be data: write a header. " if data else ""
    if not above.row:
        refuse_lacking(names, wanted.columns, hint)
    return names


def _rows(body: bytes, header: list[str], wanted: Sequence[str], height: int) -> pl.DataFrame:
    if height == 0:
        return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
    rows = parsed(body, header, {name: header.index(name) for name in wanted}, 0)
    if rows is None or rows.height != height:
        found = "nothing" if rows is None else f"{rows.height} records"
        raise DataRefused(f"reads as {found} where {height} records stand.")
    return rows


def parsed(
    text: bytes,
    header: list[str],
    places: Mapping[str, int],
    skip: int,
    numbers: frozenset[str] = frozenset(),
) -> pl.DataFrame | None:
    """Read the columns at these places, counted from 0; None where Polars stops."""
    # A header of our own, by the names that Polars demands where it reads none.
    names = {name: f"column_{place + 1}" for name, place in places.items()}
    schema = {f"column_{i + 1}": pl.String for i in range(len(header))}
    try:
        rows = pl.read_csv(
            text,
            has_header=False,
            skip_rows=skip,
            schema=schema | {names[name]: pl.Float64 for name in numbers},
            columns=list(names.values()),
        )
    except pl.exceptions.PolarsError:
        return None
    return pl.DataFrame([rows[place].alias(name) for name, place in names.items()])
