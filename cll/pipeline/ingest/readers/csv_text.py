"""CSV, strictly: each record has the header's fields, and every fault has its line.

Where there is no quote and each line has as many fields as the header, Polars reads all of it at
once. Else, and where a header may stand in the middle, it is read record by record.
"""

from pathlib import Path

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers import csv_headers
from cll.pipeline.ingest.readers.csv_quoting import COMMA, NEWLINE, cut, decodes
from cll.pipeline.ingest.readers.csv_records import TOP, Above, by_record, header_of, parsed
from cll.pipeline.ingest.readers.limits import count, has_longer
from cll.pipeline.ingest.readers.records import Records, Wanted, faults_frame
from cll.types.tables import is_finite

_LAST = "\n"  # names the last column where nobody wants it; no header has this


def parse(text: bytes, wanted: Wanted, above: Above = TOP) -> Records:
    """Read the wanted columns of CSV; lines end in newlines.

    The header is the first line, or stands `above` the text.
    """
    return _regular(text, wanted, above) or by_record(text, wanted, above)


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
    text = b""
    with path.open("rb") as file:
        while len(text) <= most and (line := file.readline(most + 1)):
            text += line
            if text.strip() and text.count(b'"') % 2 == 0:
                break
    return text
