"""Arrow columns as Polars series, in types that the casts know."""

from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import types

from cll.pipeline.ingest.readers.fields import with_unit
from cll.types.errors import DataRefused

_DAY = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


def series(name: str, column: Any) -> pl.Series:
    """Return a chunked array as a series, after a check of all that Polars takes for granted."""
    kind = column.type
    if types.is_time(kind):
        return _times(name, column)
    column.validate(full=True)  # UTF-8 above all
    if types.is_dictionary(kind):
        return _numbered(name, column)
    if types.is_decimal256(kind):  # Polars has no such numbers
        column = column.cast(pa.string())
    if types.is_timestamp(kind) and kind.tz is not None and not _is_zone(kind.tz):
        # The instants are in UTC, whatever the zone in which they are to be shown.
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    try:
        return pl.Series(name, column)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError):
        raise DataRefused(f"{name!r} is of a type that can't be read: {kind}.") from None


def _numbered(name: str, column: Any) -> pl.Series:
    """Put the values of a dictionary in the place of their numbers."""
    parts = [
        pl.Series(name, part.dictionary).gather(pl.Series(part.indices)) for part in column.chunks
    ]
    return pl.concat(parts) if parts else pl.Series(name, [], pl.String)


def _times(name: str, column: Any) -> pl.Series:
    """Return times of day; where one is none, all become text."""
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
