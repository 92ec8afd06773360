"""Read CSV strictly: each record has as many fields as the header, and each fault has a line number.

Polars reads a text at once that has no quotes and the same number of fields on every line. Any
other text, or one that may have a header in the middle, is read record by record.
"""

import codecs
import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers import csv_headers, streams
from cll.pipeline.ingest.readers.csv_index import parse_columns
from cll.pipeline.ingest.readers.csv_quoting import COMMA, NEWLINE, QUOTE, cut, decodes
from cll.pipeline.ingest.readers.csv_records import TOP, Above, by_record, header_of
from cll.pipeline.ingest.readers.limits import count, has_longer
from cll.pipeline.ingest.readers.records import Records, Wanted, faults_frame, moved
from cll.types.tables import is_finite

_MARKS = 2**19  # newlines, commas and quotes that are processed at once
_LAST = "\n"  # name of the last column if it is not wanted; no header can have this name


def parse(text: bytes, wanted: Wanted, above: Above = TOP) -> Records:
    """Return the wanted columns of CSV whose lines end in LF.

    The header is the first line, or is given as `above`.
    """
    return _regular(text, wanted, above) or _by_parts(text, wanted, above)


def _by_parts(text: bytes, wanted: Wanted, above: Above) -> Records:
    """Read any text.

    Text with many commas or quotes is read in parts, since each takes much memory.
    """
    marks = sum(count(text, mark) for mark in (NEWLINE, COMMA, QUOTE))
    if marks <= _MARKS:
        return by_record(text, wanted, above)
    longest, size = wanted.limits.line_length, len(text) * _MARKS // marks
    before = count(above.text, NEWLINE)
    parts, to_file = [], above.shift
    for block in streams.blocks(io.BytesIO(text).read, ".csv", longest, block=size):
        # Rows are numbered from this part's header; `shift` makes that the header above the text.
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
    """Return the header that applies after a text that was read with the header `above`."""
    if records.header is not None:
        last = records.header
        return Above(f"{last.text}\n".encode(), last.row, names=last.names)
    if above.text:
        return above
    return Above(top_of(io.BytesIO(text), most).removeprefix(codecs.BOM_UTF8))


def _regular(text: bytes, wanted: Wanted, above: Above = TOP) -> Records | None:
    """Return the records of text without irregular lines.

    None if the text may have irregular lines.
    """
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
    rows, numbers = parse_columns(text, header, places, skip, wanted.numbers), wanted.numbers
    if rows is None or any(_has_infinity(rows[name]) for name in wanted.numbers):
        # A fault shows its value as written, so a column with a bad number is read as text.
        rows, numbers = parse_columns(text, header, places, skip), frozenset()
    if rows is None or rows.height != lines - skip:
        return None
    # Polars drops extra fields of a line and fills missing ones with nulls. A last column without
    # nulls means that no line is short; then the number of commas shows that none is long.
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
    """Return the header's bytes of an open file, as `top` does."""
    text = b""
    while len(text) <= most and (line := file.readline(most + 1)):
        text += line
        if text.strip() and text.count(b'"') % 2 == 0:
            break
    return text
