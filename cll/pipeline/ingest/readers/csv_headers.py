"""Detect headers in the middle of a CSV file, and apply each to the parts of the file after it.

Concatenated logs repeat their header, perhaps with other columns or in another order. No value below
such a line may be read with the header above it.
"""

import csv
import io
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import polars as pl

from cll.pipeline.ingest.readers.records import Wanted
from cll.types.arrays import Flags
from cll.types.records import Arrived, Header, Piece

T = TypeVar("T")
Reading = tuple[Sequence[Piece], Sequence[Header | None], T]
MIDDLE, BELOW = "a header in mid-file", "below the header"  # reasons for faults begin so
_UNKNOWN = 3  # times and numbers that must be words if no field is a known column name
_NOTHING = frozenset({"null", "none", "na", "nil", "unknown", "missing", "undefined", "error"})


def fields_of(line: bytes) -> list[str] | None:
    """Return a record's fields; None if it can't be parsed."""
    text = line.decode(errors="replace").removeprefix("\ufeff")
    try:
        return next(csv.reader(io.StringIO(text, newline="")), None)
    except csv.Error:
        return None


def is_header(
    fields: Sequence[str], above: Sequence[str], wanted: Wanted, column_names: Container[str]
) -> bool:
    """Return whether a record is a header; `above` are the names of the header above it.

    A header has distinct, nonempty fields. If it has as many fields as `above`, its time and number
    fields must be words, and one of those must be a known column name, or two of all fields, or all
    fields must look like names with at least _UNKNOWN times and numbers; or two fields are known
    and each time field is. If it has another number of fields, two must be known column names, and
    none may be a value. Column names in text columns alone are no header.

    >>> wanted = Wanted(("entity", "time", "cpu"), values=frozenset({"time", "cpu"}))
    >>> is_header(["cpu", "time", "entity"], wanted.columns, wanted, wanted.columns)
    True
    >>> is_header(["cpu", "2026-01-01", "0.5"], wanted.columns, wanted, wanted.columns)
    False
    """
    texts = [field.strip() for field in fields]
    if len(texts) < 2 or "" in texts or len({*texts}) < len(texts):  # noqa: PLR2004  a pair
        return False
    named = sum(text in column_names for text in texts)
    if len(fields) != len(above):
        return named > 1 and all(_is_name(text) or text in column_names for text in texts)
    pairs = [(text, name) for text, name in zip(texts, above, strict=True) if name in wanted.values]
    times = [text for text, name in pairs if name not in wanted.numbers]
    if times and named > 1 and all(text in column_names for text in times):
        return True
    typed = [text for text, _ in pairs]
    words = [text for text in typed if _is_word(text)]
    if any(text not in column_names for text in {*typed} - {*words}) or (typed and not words):
        return False
    like_names = all(text.isidentifier() and text.lower() not in _NOTHING for text in texts)
    is_known = named > 1 or any(text in column_names for text in typed)
    return is_known or (like_names and len(typed) >= _UNKNOWN)


def _is_word(text: str) -> bool:
    return not (text[:1].isdigit() or _is_number(text))


def _is_name(text: str) -> bool:
    """Return whether text can be a name and not a value; a name may begin with digits, like 5xx."""
    return _is_word(text) or (not _is_number(text) and text.lstrip("0123456789").isidentifier())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def suspects(
    rows: pl.DataFrame, header: Sequence[str], wanted: Wanted, numbers: Container[str]
) -> Flags | None:
    """Return a mask of the rows that may be headers; None if there is none.

    `numbers` are the columns that are already parsed as numbers.
    """
    column_names = sorted({*header, *wanted.columns})
    typed = sorted(
        (n for n in wanted.columns if n in wanted.values), key=wanted.numbers.__contains__
    )
    times = [rows[name] for name in typed if name not in wanted.numbers]
    marks = [rows[name].is_in(column_names) for name in wanted.columns] if not typed else []
    if times and all(map(_varies, times)):
        marks.append(_all(time.is_in(column_names) for time in times))
    if typed and not any(name in numbers for name in typed):
        values = [name for name in column_names if not _is_word(name)]
        marks.append(_all(_may_be_name(rows[name], values) for name in typed))
    if not any(mark.any() for mark in marks):
        return None
    marked: Flags = (
        pl.select(pl.any_horizontal(marks)).to_series().fill_null(value=False).to_numpy()
    )
    return marked


def _all(marks: Iterable[pl.Series]) -> pl.Series:
    """Return the conjunction of masks; later masks are not read once no row is left."""
    every = pl.Series([True])
    for mark in marks:
        every = every & mark
        if not every.any():
            break
    return every


def _varies(text: pl.Series) -> bool:
    """Return whether values differ in length; times in one format mostly have the same length."""
    sizes = text.str.len_bytes()
    return bool(sizes.min() != sizes.max())


def _may_be_name(text: pl.Series, values: Sequence[str]) -> pl.Series:
    """Mark text that does not begin like a number or time.

    `values` are names that begin like one.
    """
    marked = (text > ":") | ((text < "+") & (text != ""))
    return marked | text.str.strip_chars().is_in(values) if values else marked


def is_about_header(reason: str) -> bool:
    """Return whether a record was rejected because of a header in mid-file."""
    return reason.startswith((MIDDLE, BELOW))


def unfit(fields: Sequence[str], wanted: Wanted) -> str:
    """Return why a header lacks what is wanted; "" if records can be read with it."""
    lacking = [name for name in wanted.columns if name not in fields]
    if lacking:
        return f"lacks {', '.join(map(repr, lacking))}"
    repeated = [name for name in wanted.columns if fields.count(name) > 1]
    return f"has {repeated[0]!r} twice" if repeated else ""


def read_in_force(files: Sequence[Arrived], read: Callable[[Sequence[Arrived]], Reading[T]]) -> T:
    """Read files until each part was read with the last header that stands before it.

    `read` returns all pieces, the last header in each, and its result. A header found in a part
    changes how the parts after it are read, so the files are read again. The first part is always
    right, and each reading settles at least one more part of each file. Usually one is enough.
    """
    while True:
        pieces, last, result = read(files)
        again = _carried(files, zip(pieces, last, strict=True))
        if again == [*files]:
            return result
        files = again


def _carried(
    files: Sequence[Arrived], read: Iterable[tuple[Piece, Header | None]]
) -> list[Arrived]:
    """Return the files with, for each part, the last header in the parts before it."""
    last: dict[str, list[Header]] = {}
    for piece, header in read:
        if header is not None:
            last.setdefault(piece.name, []).append(header)
    return [headed(file, last.get(file.file, ())) for file in files]


def headed(file: Arrived, headers: Iterable[Header]) -> Arrived:
    """Return the file with, for each part, the last of `headers` that stands before it."""
    ordered = sorted(headers, key=lambda header: header.row)
    if not ordered and not any(part.header for part in file.parts):
        return file
    parts = []
    for part in file.parts:
        above = [header for header in ordered if header.row < part.row]
        parts.append(replace(part, header=above[-1] if above else None))
    return replace(file, parts=tuple(parts))
