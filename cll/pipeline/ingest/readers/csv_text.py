"""CSV, strictly: each record has the header's fields, and every fault has its line.

Where there is no quote and each line has as many fields as the header, Polars reads all of it at
once. Else, and where a header may stand in the middle, it is read record by record.
"""

import codecs
import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers import csv_headers, streams
from cll.pipeline.ingest.readers.csv_quoting import COMMA, NEWLINE, QUOTE, cut, decodes
from cll.pipeline.ingest.readers.csv_records import TOP, Above, by_record, header_of, parsed
from cll.pipeline.ingest.readers.limits import count, has_longer
from cll.pipeline.ingest.readers.records import Records, Wanted, faults_frame, moved
from cll.types.tables import is_finite

_MARKS = 2**19  # newlines, commas and quotes that are looked at at once
_LAST = "\n"  # names the last column where nobody wants it; no header has this


def parse(text: bytes, wanted: Wanted, above: Above = TOP) -> Records:
    """Read the wanted columns of CSV; lines end in newlines.

    The header is the first line, or stands `above` the text.
    """
    return _regular(text, wanted, above) or _by_parts(text, wanted, above)


def _by_parts(text: bytes, wanted: Wanted, above: Above) -> Records:
    """Read any text, where it is dense a part at a time, since each mark takes many bytes."""
    marks = sum(count(text, mark) for mark in (NEWLINE, COMMA, QUOTE))
    if marks <= _MARKS:
        return by_record(text, wanted, above)
    longest, size = wanted.limits.line_length, len(text) * _MARKS // marks
    before = count(above.text, NEWLINE)
    parts, to_file = [], above.shift
    for block in streams.blocks(io.BytesIO(text).read, ".csv", longest, block=size):
        # Rows are numbered from the header above this part, and are to be from that above the text.
        shift = before + block.before - count(above.text, NEWLINE)
        part = by_record(block.text, wanted, replace(above, shift=to_file + shift))
        parts.append(moved(part, shift))
        above = below(above, block.text, part, longest)
    return Records(
        pl.concat(part.rows for part in parts),
        np.concatenate([part.at for part in parts]),
        pl.concat(part.faults for part in parts),
        next((part.header for part in reversed(parts) if part.header), None),
    )


def below(above: Above, text: bytes, records: Records, most: int) -> Above:
    """Return the header that is in force behind a text, which was read below the one `above`."""
    if records.header is not None:
        last = records.header
        return Above(f"{last.text}\n".encode(), last.row, names=last.names)
    if above.text:
        return above
    return Above(top_of(io.BytesIO(text), most).removeprefix(codecs.BOM_UTF8))


def _regular(text: bytes, wanted: Wanted, above: Above = TOP) -> Records | None:
    """Read text in which nothing has to be told apart, or return None."""
    top = above.text or text[: text.find(b"\n") + 1]
    if (
        len(top) < 2  # noqa: PLR2004  of a newline alone
        or top.find(b"\n") < len(top) - 1
        or b'"' in top
        or b'"' in text
        or has_longer(text, wanted.limits.line_length)
        or not decodes(text)
    ):
        return None
    header, skip = header_of(top[:-1], wanted, above), 0 if above.text else 1
    if len(header) == 1 or csv_headers.unfit(header, wanted):
        return None
    lines = count(text, NEWLINE) + (not text.endswith(b"\n"))
    last = header[-1] if header[-1] in wanted.columns else _LAST
    places = {name: header.index(name) for name in wanted.columns} | {last: len(header) - 1}
    rows, numbers = parsed(text, header, places, skip, wanted.numbers), wanted.numbers
    if rows is None or any(_has_infinity(rows[name]) for name in wanted.numbers):
        # What is no number, or none that is finite, is shown as it was written.
        rows, numbers = parsed(text, header, places, skip), frozenset()
    if rows is None or rows.height != lines - skip:
        return None
    # Polars passes over what a line has too much, and leaves empty what it has too little. So the
    # last column tells that no line has less, and the count of commas that then none has more.
    if rows[last].null_count():
        even = bool((cut(np.frombuffer(text, dtype=np.uint8)).fields == len(header)).all())
    else:
        even = count(text, COMMA) == lines * (len(header) - 1)
    if not even:
        return None
    rows = rows[list(wanted.columns)]
    if csv_headers.suspects(rows, header, wanted, numbers) is not None:
        return None
    return Records(rows, np.arange(2, rows.height + 2), faults_frame([]))


def _has_infinity(values: pl.Series) -> bool:
    return not is_finite(values) and values.is_infinite().any()


def top(path: Path, most: int) -> bytes:
    """Return the header's bytes, with its newline: the first record that is not blank."""
    with path.open("rb") as file:
        return top_of(file, most)


def top_of(file: BinaryIO, most: int) -> bytes:
    """Return the header's bytes, as `top` does, of a file that is open."""
    text = b""
    while len(text) <= most and (line := file.readline(most + 1)):
        text += line
        if text.strip() and text.count(b'"') % 2 == 0:
            break
    return text
