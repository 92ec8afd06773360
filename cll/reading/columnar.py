"""Parquet, in stretches of whole row groups, so that memory is bounded by a stretch.

Arrow reads it: Polars is faster, but a damaged page can make it end the whole process.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from cll.errors import DataRefused
from cll.reading.limits import refuse_over
from cll.reading.records import TRUNCATED, Records, Wanted, faults_frame, refuse_lacking

ROWS = 1_000_000  # of a stretch, about
# What damage can make the libraries raise; a panic of Polars is no Exception.
_DAMAGE = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    pa.ArrowException,
    ValueError,
    LookupError,
    OverflowError,
    OSError,
)
_MAGIC = b"PAR1"

Stretch = tuple[int, int]  # its first row, from 0, and how many


def stretches(path: Path) -> list[Stretch]:
    """Divide a file by its footer."""
    found: list[Stretch] = [(0, 0)]
    with _damage(path), _opened(path) as file:
        for rows in _sizes(file):
            first, count = found[-1]
            if count and count + rows > ROWS:
                found.append((first + count, 0))
                first, count = found[-1]
            found[-1] = (first, count + rows)
    return found


def parse(source: Path | bytes, wanted: Wanted, stretch: Stretch | None = None) -> Records:
    """Read the wanted columns in their own types, by row from 1; all of it without `stretch`."""
    with _damage(source), _opened(source) as file:
        total = file.metadata.num_rows
        refuse_over("rows", total, wanted.limits.rows)
        refuse_lacking(file.schema_arrow.names, wanted.columns)
        first, count = stretch or (0, total)
        starts = np.cumsum([0, *_sizes(file)])[:-1]
        groups = np.flatnonzero((starts >= first) & (starts < first + count)).tolist()
        table = file.read_row_groups(groups, columns=list(wanted.columns))
        table.validate(full=True)  # UTF-8 above all: Polars takes it for granted
        rows = pl.DataFrame([_series(name, table[name]) for name in wanted.columns])
    if rows.height != count:
        raise DataRefused(f"can't be read as Parquet: not the {count} rows that its footer tells.")
    return Records(rows, np.arange(first + 1, first + count + 1), faults_frame([]))


def _opened(source: Path | bytes) -> Any:
    from pyarrow import parquet  # noqa: PLC0415  30 ms that only Parquet needs

    def opened(repeated: list[str] | None) -> Any:
        place = source if isinstance(source, Path) else io.BytesIO(source)
        return parquet.ParquetFile(place, read_dictionary=repeated)

    with opened(None) as file:
        repeated = _repeated(file)
    return opened(repeated)


def _repeated(file: Any) -> list[str]:
    """Return the columns of text that are stored as numbers of their values: kept so, for speed."""
    if file.num_row_groups == 0:
        return []
    columns = [file.metadata.row_group(0).column(i) for i in range(file.metadata.num_columns)]
    return [
        one.path_in_schema
        for one in columns
        if one.has_dictionary_page and one.physical_type == "BYTE_ARRAY"
    ]


def _series(name: str, column: Any) -> pl.Series:
    if not pa.types.is_dictionary(column.type):
        return pl.Series(name, column)
    parts = [
        pl.Series(name, part.dictionary).gather(pl.Series(part.indices)) for part in column.chunks
    ]
    return pl.concat(parts) if parts else pl.Series(name, [], pl.String)


def _sizes(file: Any) -> list[int]:
    return [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]


@contextmanager
def _damage(source: Path | bytes) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as why:
        if isinstance(why, OSError) and why.errno is not None:
            raise
        raise DataRefused(f"{_told(source, str(why))}.") from None


def _told(source: Path | bytes, why: str) -> str:
    begins, ends = _ends(source)
    if begins == _MAGIC != ends:
        return TRUNCATED
    return f"can't be read as Parquet: {why.splitlines()[0].rstrip('.')}"


def _ends(source: Path | bytes) -> tuple[bytes, bytes]:
    if isinstance(source, bytes):
        return source[:4], source[-4:]
    with source.open("rb") as file:
        begins = file.read(4)
        file.seek(0, io.SEEK_END)
        file.seek(max(0, file.tell() - 4))
        return begins, file.read(4)
