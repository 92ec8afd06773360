"""Read JSON Lines strictly: numbers keep their text, keys are unique, each fault has a line number.

The JSON decoder takes 10 us per line. So flat objects, the usual case, are parsed by a regular
expression that is built from the first line and follows the JSON grammar. A new expression is built
from the first line that does not match, up to _SHAPES times; the decoder reads the remaining lines.
"""

import codecs
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers.json_pattern import LONGEST, flat, kind_of, named, pattern_of
from cll.pipeline.ingest.readers.json_records import DECODER, RecordCollector, reason_of
from cll.pipeline.ingest.readers.limits import count, depth, has_longer, over
from cll.pipeline.ingest.readers.records import Records, Wanted
from cll.types.tables import VALUE_WIDTH

_SHAPES = 4  # expressions that are tried on one block


def parse_lines(text: bytes, wanted: Wanted) -> Records:
    """Return the records of JSON Lines; blank lines are skipped."""
    left = _lines(text, wanted.limits.line_length)
    if left is None:
        return _one_by_one(enumerate(text.split(b"\n"), 1), wanted)
    rows, at, odd = [], [], left.clear()
    has: set[str] = set()
    for again in range(_SHAPES):
        if left.height and not left["text"][0].strip():
            left = left.filter(left["text"].str.contains(r"[^ \t\r]"))
        record = flat(left["text"][0]) if left.height else {}
        kinds = {key: kind_of(value, again) for key, value in record.items()}
        pattern = pattern_of(kinds, wanted.columns)
        if not record.keys() & {*wanted.columns} or len(pattern) > LONGEST:
            odd, left = odd.vstack(left.head(1)), left.slice(1)
            continue
        captured = left["text"].str.extract_groups(pattern).struct.unnest()
        fits = captured.to_series(0).is_not_null()
        if not fits.all():
            captured, place, left = (
                captured.filter(fits),
                left["at"].filter(fits),
                left.filter(~fits),
            )
        else:
            place, left = left["at"], left.clear()
        has |= kinds.keys()
        rows.append(named(captured, kinds, wanted.columns))
        at.append(place.to_numpy())
    odd = odd.vstack(left)
    del left
    rest = _one_by_one(((n, line.encode()) for n, line in odd.iter_rows()), wanted, has)
    return _ordered(rows, at, rest)


def _ordered(rows: list[pl.DataFrame], at: list[Any], rest: Records) -> Records:
    if len(rows) == 1 and not len(rest.at):
        return Records(rows[0], at[0].astype(np.int64), rest.faults)
    places = np.concatenate([*at, rest.at]).astype(np.int64)
    order = np.argsort(places)
    return Records(pl.concat([*rows, rest.rows])[order], places[order], rest.faults)


def _lines(text: bytes, longest: int) -> pl.DataFrame | None:
    """Return all lines with their numbers; None if Polars can't split the text into lines."""
    # Polars drops a leading byte-order mark, but in the middle of a file it is part of the line.
    if text.startswith(codecs.BOM_UTF8) or b"\x01" in text or has_longer(text, longest):
        return None
    try:
        # With an absent separator and without quotes, each line is one field.
        lines = pl.read_csv(
            text,
            has_header=False,
            separator="\x01",
            quote_char=None,
            schema={"text": pl.String},
            empty_string_is_null=False,
        )
    except pl.exceptions.PolarsError:
        return None
    whole = lines.height == count(text, ord("\n")) + (not text.endswith(b"\n"))
    return lines.with_row_index("at", 1) if whole else None


def _one_by_one(
    lines: Iterable[tuple[int, bytes]], wanted: Wanted, has: set[str] | None = None
) -> Records:
    collector, limits = RecordCollector(wanted, has), wanted.limits
    for number, line in lines:
        if not line or line.isspace():
            continue
        reason = over("line_length", limits.line_length) if len(line) > limits.line_length else None
        if reason is None and line.count(b"[") + line.count(b"{") > limits.nesting:
            reason = over("nesting", limits.nesting) if depth(line) > limits.nesting else None
        try:
            if reason is None:
                collector.take(number, DECODER.decode(line.decode()), len(line))
        except (ValueError, RecursionError) as why:
            reason = reason_of(why)
        if reason is not None:
            text = line[: 4 * VALUE_WIDTH].decode(errors="backslashreplace")
            collector.fault((number, None, text, reason))
    return collector.records()
