"""Read CSV record by record: NumPy finds records and fields, and Polars parses the sound ones.

A header in the middle of a file applies to the records below it. The header is a fault, and so is
each record below a header that lacks a wanted column.
"""

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers import csv_headers, csv_index
from cll.pipeline.ingest.readers.csv_index import IndexedText
from cll.pipeline.ingest.readers.records import (
    EMPTY,
    Numbers,
    Records,
    Wanted,
    faults_frame,
    refuse_lacking,
)
from cll.types.arrays import Flags
from cll.types.errors import DataRefused
from cll.types.records import Header


@dataclass(frozen=True)
class Above:
    """The header above a text that is a part of a file."""

    text: bytes = b""
    row: int = 0  # line of the header; 0: it is at the top of the file
    shift: int = 0  # line number in the file minus the one counted from this header
    names: tuple[str, ...] = ()  # column names of the headers before it


TOP = Above()


@dataclass(frozen=True)
class _Section:
    """The records from one header up to the next."""

    names: tuple[str, ...]
    row: int  # the header's line in the file
    start: int  # the number of the first record below it


def by_record(text: bytes, wanted: Wanted, above: Above = TOP) -> Records:
    """Return the wanted columns of any CSV text."""
    indexed = IndexedText(above.text + text, wanted, above.shift)
    if not indexed.filled.any():
        raise DataRefused(f"{EMPTY}.")
    top = int(np.argmax(indexed.filled))
    names = header_of(indexed.record(top), wanted, above)
    first = _Section(tuple(names), above.row, top + 1)
    fit = not csv_headers.unfit(names, wanted)
    even = indexed.sound & (indexed.cuts.fields == len(names))
    even[: top + 1] = False
    rows = indexed.rows(even, names) if fit else None
    column_names = {*names, *above.names, *wanted.columns}
    sections = _sections(indexed, first, even, rows, column_names)
    if len(sections) > 1 or rows is None:
        return replace(_sectioned(indexed, sections), header=_last(indexed, sections, column_names))
    uneven = indexed.filled & ~even
    uneven[: top + 1] = False
    faults = (
        indexed.fault(i, _unfit_for(indexed, i, first)) for i in np.flatnonzero(uneven).tolist()
    )
    return Records(rows, indexed.cuts.lines[even], faults_frame(faults))


def _sections(
    text: IndexedText,
    first: _Section,
    even: Flags,
    rows: pl.DataFrame | None,
    column_names: set[str],
) -> list[_Section]:
    """Return the sections of the text, the first included; their names are added to `column_names`.

    `rows` are the records with as many fields as the first header, which `even` marks.
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
        if fields and csv_headers.is_header(fields, sections[-1].names, text.wanted, column_names):
            line = int(text.cuts.lines[i]) + text.shift
            sections.append(_Section(tuple(fields), line, i + 1))
            column_names |= {*fields}
    return sections


def _sectioned(text: IndexedText, sections: Sequence[_Section]) -> Records:
    """Return the records of all sections, each read with its own header."""
    starts = np.array([section.start for section in sections])
    numbers = np.searchsorted(starts, np.arange(len(text.filled)), side="right") - 1
    is_header = np.zeros(len(text.filled), dtype=np.bool_)
    is_header[starts - 1] = True
    body = text.filled & ~is_header & (numbers >= 0)
    widths = np.array([len(section.names) for section in sections])
    even = body & text.sound & (text.cuts.fields == widths[numbers])
    rows, taken = [], np.zeros(len(text.filled), dtype=np.bool_)
    places: list[Numbers] = []
    for names in dict.fromkeys(section.names for section in sections):
        if not csv_headers.unfit(names, text.wanted):
            own = even & np.array([section.names == names for section in sections])[numbers]
            rows.append(text.rows(own, names))
            places.append(text.cuts.lines[own])
            taken |= own
    lines = np.concatenate([np.zeros(0, dtype=np.int64), *places])
    order = np.argsort(lines)
    nothing = csv_index.parse_records(b"", [], text.wanted.columns, 0)
    unread = (
        text.fault(i, _unfit_for(text, i, sections[numbers[i]]))
        for i in np.flatnonzero(body & ~taken).tolist()
    )
    headers = (
        text.fault(now.start - 1, _of_header(now, before, text.wanted))
        for before, now in itertools.pairwise(sections)
    )
    faults = faults_frame(itertools.chain(unread, headers))
    return Records(pl.concat([nothing, *rows])[order], lines[order], faults)


def _last(text: IndexedText, sections: Sequence[_Section], column_names: set[str]) -> Header | None:
    """Return the last header below the first."""
    if len(sections) == 1:
        return None
    line = text.record(sections[-1].start - 1).rstrip(b"\n").decode(errors="replace")
    return Header(sections[-1].row, line.removeprefix("\ufeff"), tuple(sorted(column_names)))


def _unfit_for(text: IndexedText, i: int, section: _Section) -> str:
    """Return the reason why a record is not read."""
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


def _ragged(fields: int, needed: int) -> str:
    hint = "; write decimal points, and quote a text that has commas" if fields > needed else ""
    return f"{fields} fields where the header has {needed}{hint}"


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
