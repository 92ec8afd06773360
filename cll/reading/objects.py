"""JSON records, strictly: numbers keep their text, a key stands once, and every fault has its line.

A parser in Python takes 10 us for a line. So the flat objects, which is to say most, are taken
apart by a pattern that is built from the first line and says the whole grammar; only the lines that
it doesn't fit are parsed one by one, and the pattern is built again from the first of them.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from cll.errors import DataRefused
from cll.reading.records import Fault, Records, faults_frame
from cll.values import VALUE_WIDTH

_SHAPES = 4  # patterns that are tried on one file
_FLAT = (
    r'"[^"\\\x00-\x1f]*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?'
    r"|true|false|null|NaN|-?Infinity"
)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {max(keys, key=keys.count)!r} stands twice")
    return record


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=str
).decode


def parse_lines(text: bytes, wanted: Sequence[str]) -> Records:
    """Read JSON Lines; blank lines are no records."""
    try:
        lines = pl.DataFrame({"text": text.decode().split("\n")}).with_row_index("at", 1)
    except UnicodeDecodeError:
        return _one_by_one(list(enumerate(text.split(b"\n"), 1)), wanted)
    left = lines.filter(pl.col("text").str.contains(r"[^ \t\r]"))
    rows, at, odd = [], [], left.clear()
    for _ in range(_SHAPES):
        if left.is_empty():
            break
        keys = _flat_keys(left["text"][0])
        if not set(keys) & set(wanted):
            odd, left = odd.vstack(left.head(1)), left.slice(1)
            continue
        found = left["text"].str.extract_groups(_pattern(keys, wanted)).struct.unnest()
        fits = found.to_series(0).is_not_null()
        rows.append(_untokened(found.filter(fits), [k for k in keys if k in wanted], wanted))
        at.append(left["at"].filter(fits).to_numpy())
        left = left.filter(~fits)
    rest = _one_by_one([(n, line.encode()) for n, line in odd.vstack(left).rows()], wanted)
    places = np.concatenate([*at, rest.at]).astype(np.int64)
    order = np.argsort(places)
    return Records(pl.concat([*rows, rest.rows])[order], places[order], rest.faults)


def parse(text: bytes, wanted: Sequence[str]) -> Records:
    """Read a file of one object, or of an array of them."""
    try:
        found = _decode(text.decode())
    except (ValueError, RecursionError) as why:
        hint = "; name a file with a record a line .jsonl" if "Extra data" in str(why) else ""
        raise DataRefused(f"{_reason(why)}{hint}.") from None
    return _records(list(enumerate(found if isinstance(found, list) else [found], 1)), [], wanted)


def _flat_keys(line: str) -> list[str]:
    """Return the keys of an object of plain values, in order; none of any other line."""
    try:
        record = _decode(line)
    except (ValueError, RecursionError):
        return []
    flat = isinstance(record, dict) and not any(
        isinstance(value, list | dict) for value in record.values()
    )
    # A key that JSON could write in two ways would have to be unescaped.
    plain = flat and all(json.dumps(key) == f'"{key}"' for key in record)
    return list(record) if plain else []


def _pattern(keys: Sequence[str], wanted: Sequence[str]) -> str:
    pairs = (
        rf'"{re.escape(key)}"[ \t]*:[ \t]*({"" if key in wanted else "?:"}{_FLAT})' for key in keys
    )
    return r"^[ \t\r]*\{[ \t]*" + r"[ \t]*,[ \t]*".join(pairs) + r"[ \t]*\}[ \t\r]*$"


def _untokened(tokens: pl.DataFrame, keys: Sequence[str], wanted: Sequence[str]) -> pl.DataFrame:
    """Turn tokens into text: `"a"` is a, null is null, and anything else is its own text."""
    tokens.columns = list(keys)
    texts = [
        pl.when(pl.col(key) != "null").then(pl.col(key).str.strip_chars('"'))
        if key in keys
        else pl.lit(None, dtype=pl.String).alias(key)
        for key in wanted
    ]
    return tokens.select(texts)


def _one_by_one(lines: Sequence[tuple[int, bytes]], wanted: Sequence[str]) -> Records:
    found: list[tuple[int, Any]] = []
    faults: list[Fault] = []
    for number, line in lines:
        if not line or line.isspace():
            continue
        try:
            found.append((number, _decode(line.decode())))
        except (ValueError, RecursionError) as why:
            text = line[: 4 * VALUE_WIDTH].decode(errors="backslashreplace")
            faults.append((number, None, text, _reason(why)))
    return _records(found, faults, wanted)


def _reason(why: Exception) -> str:
    if isinstance(why, UnicodeDecodeError):
        return "not UTF-8"
    return f"not JSON: {'nested too deep' if isinstance(why, RecursionError) else why}"


def _records(found: list[tuple[int, Any]], faults: list[Fault], wanted: Sequence[str]) -> Records:
    objects = [(n, record) for n, record in found if isinstance(record, dict)]
    if len(objects) < len(found):
        others = ((n, record) for n, record in found if not isinstance(record, dict))
        faults += [(n, None, str(record), "not an object") for n, record in others]
    try:
        rows = _frame([record for _, record in objects], wanted)
    except (TypeError, UnicodeEncodeError):
        told = [(n, _texts(record, wanted)) for n, record in objects]
        faults += [(n, *texts) for n, texts in told if isinstance(texts, tuple)]
        objects = [(n, texts) for n, texts in told if isinstance(texts, dict)]
        rows = _frame([texts for _, texts in objects], wanted)
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
            return name, str(value), "a list or an object, where a value is needed"
        if text is not None and any("\ud800" <= letter <= "\udfff" for letter in text):
            return name, text, "not UTF-8"
        texts[name] = text
    return texts
