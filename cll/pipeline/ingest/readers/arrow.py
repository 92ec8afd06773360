"""Convert Arrow columns to Polars series, in types that the casts support."""

from collections.abc import Iterable
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import compute, types

from cll.pipeline.ingest.readers.fields import with_unit
from cll.types.errors import DataRefused

_LONGEST = 2**14  # bytes of a text, or characters that are kept of it; no name or number is longer
_TEXTS = (
    types.is_string,
    types.is_large_string,
    types.is_string_view,
    types.is_binary,
    types.is_large_binary,
    types.is_binary_view,
)
_DAY = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


def series(name: str, column: Any) -> pl.Series:
    """Return a chunked array as a series, after validating what Polars assumes."""
    kind = column.type
    if types.is_time(kind):
        return _times(name, column)
    column.validate(full=True)  # UTF-8 above all
    if types.is_dictionary(kind):
        return _numbered(name, column)
    if types.is_decimal256(kind):  # Polars has no 256-bit decimals
        column = column.cast(pa.string())
    if types.is_timestamp(kind) and kind.tz is not None and not _is_zone(kind.tz):
        # Instants are stored in UTC; the zone is for display only, and Polars does not know it.
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    try:
        return pl.Series(name, _texts(column))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError):
        raise DataRefused(f"{name!r} is of a type that can't be read: {kind}.") from None


def _numbered(name: str, column: Any) -> pl.Series:
    """Return a dictionary-encoded column decoded."""
    parts = [
        # The dictionary is shortened before its texts are repeated in many rows.
        pl.Series(name, _texts(part.dictionary)).gather(pl.Series(part.indices))
        for part in column.chunks
    ]
    return pl.concat(parts) if parts else pl.Series(name, [], pl.String)


def _times(name: str, column: Any) -> pl.Series:
    """Return times of day; if one of them is out of range, return all as text."""
    day = _DAY[column.type.unit]
    whole = pa.int32() if types.is_time32(column.type) else pa.int64()
    parts = [part.view(whole) for part in column.chunks]
    numbers = pl.Series(name, pa.chunked_array(parts, whole)).cast(pl.Int64)
    sound = numbers.is_between(0, day - 1).fill_null(value=True)
    if sound.all():
        return pl.Series(name, column)
    nanoseconds = numbers.set(~sound, None) * (_DAY["ns"] // day)
    text = nanoseconds.cast(pl.Time).cast(pl.String)
    return text.zip_with(sound, with_unit(numbers, column.type.unit))


def _is_zone(name: str) -> bool:
    try:
        pl.Series([], dtype=pl.Datetime("us", name))
    except pl.exceptions.PolarsError:
        return False
    return True


def _texts(values: Any) -> Any:
    return _shortened(values) if any(is_text(values.type) for is_text in _TEXTS) else values


def _shortened(texts: Any) -> Any:
    """Cut texts over _LONGEST, and append a mark so that none of them parses as a number."""
    kind = texts.type
    if types.is_string_view(kind) or types.is_binary_view(kind):
        texts = texts.cast(pa.large_string() if types.is_string_view(kind) else pa.large_binary())
        kind = texts.type
    if texts.nbytes <= _LONGEST:
        return texts
    long = compute.greater(compute.binary_length(texts), _LONGEST)
    if not compute.any(long).as_py():
        return texts
    mark: str | bytes = "\u2026"
    if types.is_string(kind) or types.is_large_string(kind):
        short = compute.utf8_slice_codeunits(texts, 0, _LONGEST)
    else:
        short, mark = compute.binary_slice(texts, 0, _LONGEST), b"\xff"  # not UTF-8
    cut = compute.binary_join_element_wise(short, pa.scalar(mark, kind), pa.scalar(mark[:0], kind))
    return compute.if_else(long, cut, texts)


def lengths(columns: Iterable[pl.Series]) -> list[pl.Series]:
    """Return the length of each text in bytes, for each text column."""
    return [
        column.str.len_bytes() if column.dtype == pl.String else column.bin.size()
        for column in columns
        if column.dtype in (pl.String, pl.Binary)
    ]
