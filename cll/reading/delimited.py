"""CSV, strictly: each record has the header's fields, and every fault has its line.

Where there is no quote and each line has as many fields as the header, Polars reads all of it at
once. Else NumPy finds records and fields, and Polars parses only what is sound.
Quotes are RFC 4180's. Where they don't pair up, the file is read line by line, so that a lost quote
costs its own line and not the rest of the file.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.errors import DataRefused
from cll.reading.limits import count, has_longer, over
from cll.reading.records import (
    EMPTY,
    NOT_UTF8,
    Fault,
    Numbers,
    Records,
    Wanted,
    faults_frame,
    refuse_lacking,
)
from cll.values import VALUE_WIDTH, Flags, is_finite

_NEWLINE, _COMMA, _QUOTE = b'\n,"'
_LAST = "\n"  # names the last column where nobody wants it; no header has this


@dataclass(frozen=True)
class _Cuts:
    """Where records start and end (behind their newline), and what stands in them."""

    starts: Numbers
    ends: Numbers
    lines: Numbers  # the line on which each starts, from 1
    fields: Numbers
    unpaired: Flags  # quotes that open or close in mid-field, or never


def parse(text: bytes, wanted: Wanted, above: bytes = b"") -> Records:
    """Read the wanted columns of CSV; lines end in newlines.

    The header is the first line, or stands `above` the text.
    """
    return _regular(text, wanted, above) or _any(above + text, wanted)


def _regular(text: bytes, wanted: Wanted, above: bytes = b"") -> Records | None:
    """Read text in which nothing has to be told apart, or return None."""
    top = above or text[: text.find(b"\n") + 1]
    if (
        len(top) < 2  # noqa: PLR2004  of a newline alone
        or top.find(b"\n") < len(top) - 1
        or b'"' in top
        or b'"' in text
        or has_longer(text, wanted.limits.line_length)
        or not _decodes(text)
    ):
        return None
    header, skip = _header(top[:-1], wanted), 0 if above else 1
    if len(header) == 1:
        return None
    lines = count(text, _NEWLINE) + (not text.endswith(b"\n"))
    last = header[-1] if header[-1] in wanted.columns else _LAST
    places = {name: header.index(name) for name in wanted.columns} | {last: len(header) - 1}
    rows = _parsed(text, header, places, skip, wanted.numbers)
    if rows is None or any(_has_infinity(rows[name]) for name in wanted.numbers):
        # What is no number, or none that is finite, is shown as it was written.
        rows = _parsed(text, header, places, skip)
    if rows is None or rows.height != lines - skip:
        return None
    # Polars passes over what a line has too much, and leaves empty what it has too little. So the
    # last column tells that no line has less, and the count of commas that then none has more.
    if rows[last].null_count():
        even = bool((_cut(np.frombuffer(text, dtype=np.uint8)).fields == len(header)).all())
    else:
        even = count(text, _COMMA) == lines * (len(header) - 1)
    if not even:
        return None
    rows = rows[list(wanted.columns)]
    return Records(rows, np.arange(2, rows.height + 2), faults_frame([]))


def _has_infinity(values: pl.Series) -> bool:
    return not is_finite(values) and values.is_infinite().any()


def _any(text: bytes, wanted: Wanted) -> Records:
    buffer = np.frombuffer(text, dtype=np.uint8)
    cuts = _cut(buffer)
    sizes = cuts.ends - cuts.starts
    filled = sizes - (buffer[cuts.ends - 1] == _NEWLINE) > 0
    if not filled.any():
        raise DataRefused(f"{EMPTY}.")
    top = int(np.argmax(filled))
    header = _header(text[cuts.starts[top] : cuts.ends[top]], wanted)
    filled[: top + 1] = False
    told = [
        (_undecodable(text, cuts), NOT_UTF8),
        (sizes > wanted.limits.line_length + 1, over("line_length", wanted.limits.line_length)),
        (cuts.unpaired, "quotes do not pair up"),
    ]
    bad = filled & (cuts.fields != len(header))
    for mask, _ in told:
        bad |= mask & filled
    faults: list[Fault] = []
    for i in np.flatnonzero(bad):
        record = text[cuts.starts[i] : cuts.ends[i]][: 4 * VALUE_WIDTH].rstrip(b"\n")
        reason = next((why for mask, why in told if mask[i]), None)
        reason = reason or _ragged(int(cuts.fields[i]), len(header))
        faults.append((int(cuts.lines[i]), None, record.decode(errors="backslashreplace"), reason))
    good = filled & ~bad
    if good[top + 1 :].all():
        body = text[cuts.ends[top] :]
    else:
        body = buffer[np.repeat(good, sizes)].tobytes()
    rows = _rows(body, header, wanted.columns, int(good.sum()))
    return Records(rows, cuts.lines[good], faults_frame(faults))


def _ragged(found: int, needed: int) -> str:
    hint = "; write decimal points, and quote a text that has commas" if found > needed else ""
    return f"{found} fields where the header has {needed}{hint}"


def top(path: Path, most: int) -> bytes:
    """Return the header's bytes, with its newline: the first record that is not blank."""
    text = b""
    with path.open("rb") as file:
        while len(text) <= most and (line := file.readline(most + 1)):
            text += line
            if text.strip() and text.count(b'"') % 2 == 0:
                break
    return text


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
    if piece.isascii():
        return True
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def _header(line: bytes, wanted: Wanted) -> list[str]:
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
    refuse_lacking(names, wanted.columns, hint)
    return names


def _rows(body: bytes, header: list[str], wanted: Sequence[str], height: int) -> pl.DataFrame:
    if height == 0:
        return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
    rows = _parsed(body, header, {name: header.index(name) for name in wanted}, 0)
    if rows is None or rows.height != height:
        found = "nothing" if rows is None else f"{rows.height} records"
        raise DataRefused(f"reads as {found} where {height} records stand.")
    return rows


def _parsed(
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
