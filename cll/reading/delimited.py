"""CSV, strictly: each record has the header's fields, and every fault has its line.

NumPy finds records and fields over all bytes at once, Polars then parses only what is sound. Quotes
are RFC 4180's. Where they don't pair up, the file is read line by line, so that a lost quote costs
its own line and not the rest of the file.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.errors import DataRefused
from cll.reading.records import Fault, Numbers, Records, faults_frame, refuse_lacking
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
    if not len(quotes):
        return _records(newlines, newlines, commas, len(buffer))
    # 1 behind an odd number of quotes, so inside of a quoted field.
    inside = np.cumsum(buffer == _QUOTE, dtype=np.uint8) & 1
    outer = newlines[inside[newlines] == 0]
    cuts = _records(outer, newlines, commas[inside[commas] == 0], len(buffer))
    stray = _stray(buffer, quotes, inside[quotes] == 1)
    unpaired = _mark(cuts, stray)
    unpaired[-1] |= inside[-1] == 1
    if not unpaired.any() or len(outer) == len(newlines):
        return replace(cuts, unpaired=unpaired)
    # By lines: each starts outside of quotes, whatever stood before it.
    offset = np.concatenate(([0], inside[newlines]))
    cuts = _records(newlines, newlines, commas, len(buffer))
    offset = offset[: len(cuts.starts)]
    at_comma = inside[commas] ^ offset[np.searchsorted(cuts.ends, commas, side="right")]
    at_quote = inside[quotes] ^ offset[np.searchsorted(cuts.ends, quotes, side="right")]
    cuts = _records(newlines, newlines, commas[at_comma == 0], len(buffer))
    unpaired = _mark(cuts, _stray(buffer, quotes, at_quote == 1))
    return replace(cuts, unpaired=unpaired | (inside[cuts.ends - 1] != offset))


def _stray(buffer: NDArray[np.uint8], quotes: Numbers, opens: Flags) -> Numbers:
    """Return the quotes that open or close in mid-field."""
    before = np.where(quotes > 0, buffer[quotes - 1], _NEWLINE)
    behind = np.where(quotes < len(buffer) - 1, buffer[(quotes + 1) % len(buffer)], _NEWLINE)
    beside = np.where(opens, before, behind)
    fine = (beside == _NEWLINE) | (beside == _COMMA) | (beside == _QUOTE)
    strays: Numbers = quotes[~fine]
    return strays


def _mark(cuts: _Cuts, places: Numbers) -> Flags:
    marked = np.zeros(len(cuts.starts), dtype=np.bool_)
    marked[np.searchsorted(cuts.ends, places, side="right")] = True
    return marked


def _records(cuts: Numbers, newlines: Numbers, commas: Numbers, size: int) -> _Cuts:
    edges = np.concatenate(([0], cuts + 1))
    edges = edges if edges[-1] == size else np.append(edges, size)
    return _Cuts(
        starts=edges[:-1],
        ends=edges[1:],
        lines=np.searchsorted(newlines, edges[:-1]) + 1,
        fields=np.diff(np.searchsorted(commas, edges)) + 1,
        unpaired=np.zeros(len(edges) - 1, dtype=np.bool_),
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
    if b"\r" in line.rstrip(b"\r\n"):
        raise DataRefused("its lines end in CR alone; write LF or CRLF.")
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
