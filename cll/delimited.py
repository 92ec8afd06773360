"""CSV, strictly: each record has the header's fields, and every fault has its line.

NumPy finds records and fields over all bytes at once, Polars then parses only what is sound. Quotes
are RFC 4180's. Where they don't pair up, the file is read line by line, so that a lost quote costs
its own line and not the rest of the file.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.errors import DataRefused
from cll.records import Fault, Numbers, Records, faults_frame, refuse_lacking
from cll.values import VALUE_WIDTH, Flags

_NEWLINE, _COMMA, _QUOTE = b'\n,"'


@dataclass(frozen=True)
class _Cuts:
    """Where records start and end (behind their newline), and what stands in them."""

    starts: Numbers
    ends: Numbers
    lines: Numbers  # the line on which each starts, from 1
    fields: Numbers
    unpaired: Flags  # quotes that open or close in mid-field, or never


def parse(text: bytes, wanted: Sequence[str]) -> Records:
    """Read the columns `wanted` of CSV with a header; lines end in newlines."""
    buffer = np.frombuffer(text, dtype=np.uint8)
    cuts = _cut(buffer)
    filled = cuts.ends - cuts.starts - (buffer[cuts.ends - 1] == _NEWLINE) > 0
    if not filled.any():
        raise DataRefused("the file is empty.")
    top = int(np.argmax(filled))
    header = _header(text[cuts.starts[top] : cuts.ends[top]])
    refuse_lacking(header, wanted)
    filled[: top + 1] = False
    undecodable = _undecodable(text, cuts)
    bad = undecodable | cuts.unpaired | (cuts.fields != len(header))
    faults: list[Fault] = []
    for i in np.flatnonzero(bad & filled):
        record = text[cuts.starts[i] : cuts.ends[i]][: 4 * VALUE_WIDTH].rstrip(b"\n")
        reason = f"{cuts.fields[i]} fields where the header has {len(header)}"
        reason = "quotes do not pair up" if cuts.unpaired[i] else reason
        reason = "not UTF-8" if undecodable[i] else reason
        faults.append((int(cuts.lines[i]), None, record.decode(errors="backslashreplace"), reason))
    good = filled & ~bad
    if good[top + 1 :].all():
        body = text[cuts.ends[top] :]
    else:
        body = buffer[np.repeat(good, cuts.ends - cuts.starts)].tobytes()
    rows = _rows(body, header, wanted, int(good.sum()))
    return Records(rows, cuts.lines[good], faults_frame(faults))


def _cut(buffer: NDArray[np.uint8]) -> _Cuts:
    newlines = np.flatnonzero(buffer == _NEWLINE)
    commas = np.flatnonzero(buffer == _COMMA)
    quotes = np.flatnonzero(buffer == _QUOTE)
    # Quotes before a place, so odd inside of a quoted field.
    behind = np.searchsorted(quotes, newlines) % 2 == 0
    cuts = _records(newlines[behind], newlines, commas, quotes, buffer)
    if cuts.unpaired.any() and not behind.all():
        return _records(newlines, newlines, commas, quotes, buffer)
    return cuts


def _records(
    cuts: Numbers, newlines: Numbers, commas: Numbers, quotes: Numbers, buffer: NDArray[np.uint8]
) -> _Cuts:
    edges = np.concatenate(([0], cuts + 1))
    edges = edges if edges[-1] == len(buffer) else np.append(edges, len(buffer))
    starts, ends = edges[:-1], edges[1:]
    before = np.searchsorted(quotes, edges)  # quotes before each record
    unpaired = np.diff(before) % 2 == 1
    if len(quotes):
        first = np.repeat(before[:-1], np.diff(before))
        opens = (np.arange(len(quotes)) - first) % 2 == 0
        around = np.concatenate(([_NEWLINE], buffer, [_NEWLINE]))
        beside = np.where(opens, around[quotes], around[quotes + 2])
        stray = quotes[~np.isin(beside, (_NEWLINE, _COMMA, _QUOTE))]
        unpaired[np.searchsorted(ends, stray, side="right")] = True
        owner = np.searchsorted(ends, commas, side="right")
        commas = commas[(np.searchsorted(quotes, commas) - before[owner]) % 2 == 0]
    return _Cuts(
        starts=starts,
        ends=ends,
        lines=np.searchsorted(newlines, starts) + 1,
        fields=np.diff(np.searchsorted(commas, edges)) + 1,
        unpaired=unpaired,
    )


def _undecodable(text: bytes, cuts: _Cuts) -> Flags:
    try:
        text.decode()
    except UnicodeDecodeError:
        pieces = zip(cuts.starts.tolist(), cuts.ends.tolist(), strict=True)
        return np.array([not _decodes(text[start:end]) for start, end in pieces])
    return np.zeros(len(cuts.starts), dtype=np.bool_)


def _decodes(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def _header(line: bytes) -> list[str]:
    try:
        names = next(csv.reader(io.StringIO(line.decode(), newline="")))
    except (UnicodeDecodeError, csv.Error) as why:
        raise DataRefused(f"the header can't be read: {why}.") from None
    other = next((mark for mark in ";\t|" if mark in names[0]), None)
    if len(names) == 1 and other is not None:
        raise DataRefused(f"the fields seem to be divided by {other!r}; write commas.")
    return names


def _rows(body: bytes, header: list[str], wanted: Sequence[str], count: int) -> pl.DataFrame:
    if count == 0:
        return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
    # A header of our own: what Polars calls headerless columns differs between versions.
    places = {name: f"f{header.index(name)}" for name in wanted}
    ours = ",".join(f"f{i}" for i in range(len(header))).encode() + b"\n"
    try:
        rows = pl.read_csv(ours + body, columns=list(places.values()), infer_schema=False)
    except pl.exceptions.PolarsError as why:
        raise DataRefused(f"can't be read as CSV: {str(why).splitlines()[0]}.") from None
    if rows.height != count:
        raise DataRefused(f"reads as {rows.height} records where {count} stand.")
    return rows.select(pl.col(place).alias(name) for name, place in places.items())
