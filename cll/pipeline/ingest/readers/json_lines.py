"""JSON records, strictly: numbers keep their text, a key stands once, and every fault has its line.

A parser in Python takes 10 us for a line. So the flat objects, which is to say most, are taken
apart by a pattern that is built from the first line and says the whole grammar; only the lines that
it doesn't fit are parsed one by one, and the pattern is built again from the first of them.
"""

import codecs
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers.json_pattern import (
    LONGEST,
    TwiceError,
    flat,
    kind_of,
    named,
    pattern_of,
    unique,
)
from cll.pipeline.ingest.readers.limits import count, depth, has_longer, over, refuse_over
from cll.pipeline.ingest.readers.records import (
    NESTED,
    NOT_UTF8,
    TRUNCATED,
    Fault,
    Records,
    Wanted,
    alike,
    faults_frame,
    refuse_lacking,
)
from cll.types.errors import DataRefused
from cll.types.tables import VALUE_WIDTH

_SHAPES = 4  # patterns that are tried on one file


_decode = json.JSONDecoder(
    object_pairs_hook=unique, parse_int=str, parse_float=str, parse_constant=str
).decode


def parse_lines(text: bytes, wanted: Wanted) -> Records:
    """Read JSON Lines; blank lines are no records."""
    left = _lines(text, wanted.limits.line_length)
    if left is None:
        return _one_by_one(list(enumerate(text.split(b"\n"), 1)), wanted)
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
        found = left["text"].str.extract_groups(pattern).struct.unnest()
        fits = found.to_series(0).is_not_null()
        if not fits.all():
            found, place, left = found.filter(fits), left["at"].filter(fits), left.filter(~fits)
        else:
            place, left = left["at"], left.clear()
        has |= kinds.keys()
        rows.append(named(found, kinds, wanted.columns))
        at.append(place.to_numpy())
    rest = _one_by_one([(n, line.encode()) for n, line in odd.vstack(left).rows()], wanted, has)
    return _ordered(rows, at, rest)


def _ordered(rows: list[pl.DataFrame], at: list[Any], rest: Records) -> Records:
    if len(rows) == 1 and not len(rest.at):
        return Records(rows[0], at[0].astype(np.int64), rest.faults)
    places = np.concatenate([*at, rest.at]).astype(np.int64)
    order = np.argsort(places)
    return Records(pl.concat([*rows, rest.rows])[order], places[order], rest.faults)


def parse(text: bytes, wanted: Wanted) -> Records:
    """Read a file of one object, or of an array of them."""
    if depth(text) > wanted.limits.nesting:
        raise DataRefused(f"{over('nesting', wanted.limits.nesting)}.")
    try:
        found = _decode(text.decode())
    except (ValueError, RecursionError) as why:
        if _ends_early(why):
            raise DataRefused(f"{TRUNCATED}.") from None
        hint = "; name a file with a record a line .jsonl" if "Extra data" in str(why) else ""
        raise DataRefused(f"{_reason(why)}{hint}.") from None
    records = found if isinstance(found, list) else [found]
    refuse_over("rows", len(records), wanted.limits.rows)
    return _records(list(enumerate(records, 1)), [], wanted, set())


def _ends_early(why: Exception) -> bool:
    return isinstance(why, json.JSONDecodeError) and (
        why.pos >= len(why.doc.rstrip()) or why.msg.startswith("Unterminated string")
    )


def _lines(text: bytes, longest: int) -> pl.DataFrame | None:
    """Return all lines with their numbers, or None where Polars can't tell them apart."""
    # Polars passes over a mark that says UTF-8; in the middle of a file it is no such mark.
    if text.startswith(codecs.BOM_UTF8) or b"\x01" in text or has_longer(text, longest):
        return None
    try:
        # By a separator that is not there, and without quotes: a line is a field.
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
    lines: Sequence[tuple[int, bytes]], wanted: Wanted, has: set[str] | None = None
) -> Records:
    found: list[tuple[int, Any]] = []
    faults: list[Fault] = []
    limits = wanted.limits
    for number, line in lines:
        if not line or line.isspace():
            continue
        reason = over("line_length", limits.line_length) if len(line) > limits.line_length else None
        if reason is None and line.count(b"[") + line.count(b"{") > limits.nesting:
            reason = over("nesting", limits.nesting) if depth(line) > limits.nesting else None
        try:
            if reason is None:
                found.append((number, _decode(line.decode())))
        except (ValueError, RecursionError) as why:
            reason = _reason(why)
        if reason is not None:
            text = line[: 4 * VALUE_WIDTH].decode(errors="backslashreplace")
            faults.append((number, None, text, reason))
    return _records(found, faults, wanted, has or set())


def _reason(why: Exception) -> str:
    if isinstance(why, UnicodeDecodeError):
        return NOT_UTF8
    if isinstance(why, TwiceError):
        return str(why)
    return f"not JSON: {'nested too deep' if isinstance(why, RecursionError) else why}"


def _records(
    found: list[tuple[int, Any]], faults: list[Fault], wanted: Wanted, has: set[str]
) -> Records:
    objects = [(n, record) for n, record in found if isinstance(record, dict)]
    if len(objects) < len(found):
        others = ((n, record) for n, record in found if not isinstance(record, dict))
        faults += [(n, None, str(record), "not an object") for n, record in others]
    if objects or has:
        has = has.union(*(record.keys() for _, record in objects))
        unmapped = sorted(has.difference(wanted.columns))
        # Telemetry may be sparse: a key that no record has is missed where it was renamed.
        missed = (n for n in wanted.needed if n not in wanted.numbers or n in has)
        renamed = (n for n in wanted.numbers if n not in has and alike(n, unmapped))
        refuse_lacking(sorted(has), [*missed, *sorted(renamed)])
    try:
        rows = _frame([record for _, record in objects], wanted.columns)
    except (TypeError, UnicodeEncodeError):
        told = [(n, _texts(record, wanted.columns)) for n, record in objects]
        faults += [(n, *texts) for n, texts in told if isinstance(texts, tuple)]
        objects = [(n, texts) for n, texts in told if isinstance(texts, dict)]
        rows = _frame([texts for _, texts in objects], wanted.columns)
    at = np.array([n for n, _ in objects], dtype=np.int64)
    return Records(rows, at, faults_frame(faults))


def _frame(records: Sequence[dict[str, Any]], wanted: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {name: pl.Series([r.get(name) for r in records], dtype=pl.String) for name in wanted}
    )


def _texts(
    record: dict[str, Any], wanted: Sequence[str]
) -> dict[str, str | None] | tuple[str, str, str]:
    """Return the wanted values as text, or field, value and reason of the first that has none."""
    texts: dict[str, str | None] = {}
    for name in wanted:
        value = record.get(name)
        text = str(value).lower() if isinstance(value, bool) else value
        if text is not None and not isinstance(text, str):
            return name, str(value), NESTED
        if text is not None and any("\ud800" <= letter <= "\udfff" for letter in text):
            return name, text, NOT_UTF8
        texts[name] = text
    return texts
