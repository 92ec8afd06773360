"""Parquet, in stretches of whole row groups, so that memory is bounded by a stretch.

Arrow reads it: Polars is faster, but a damaged page can make it end the whole process. Arrow's view
of a footer can do the same, so cll.pipeline.ingest.readers.parquet_footers reads that.
"""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from cll.pipeline.ingest.readers import parquet_footers
from cll.pipeline.ingest.readers.arrow import series
from cll.pipeline.ingest.readers.limits import refuse_over
from cll.pipeline.ingest.readers.parquet_footers import Group
from cll.pipeline.ingest.readers.records import Records, Wanted, faults_frame, refuse_lacking
from cll.types.errors import DataRefused

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

Stretch = tuple[int, int]  # its first row, from 0, and how many


def stretches(path: Path) -> list[Stretch]:
    """Divide a file by its footer."""
    stretches: list[Stretch] = [(0, 0)]
    for rows in _sizes(_groups(path, ())):
        first, count = stretches[-1]
        if count and count + rows > ROWS:
            stretches.append((first + count, 0))
            first, count = stretches[-1]
        stretches[-1] = (first, count + rows)
    return stretches


def parse(source: Path | bytes, wanted: Wanted, stretch: Stretch | None = None) -> Records:
    """Read the wanted columns in their own types, by row from 1; all of it without `stretch`."""
    groups = _groups(source, wanted.columns)
    sizes = _sizes(groups)
    first, count = stretch or (0, sum(sizes))
    refuse_over("rows", sum(sizes), wanted.limits.rows)
    starts = np.cumsum([0, *sizes])[:-1]
    chosen = np.flatnonzero((starts >= first) & (starts < first + count)).tolist()
    with _damage(), _opened(source, _numbered([groups[i] for i in chosen])) as file:
        refuse_lacking(file.schema_arrow.names, wanted.columns)
        table = file.read_row_groups(chosen, columns=list(wanted.columns))
        rows = pl.DataFrame([series(name, table[name]) for name in wanted.columns])
    if rows.height != count:
        raise DataRefused(f"can't be read as Parquet: not the {count} rows that its footer tells.")
    return Records(rows, np.arange(first + 1, first + count + 1), faults_frame([]))


def _opened(source: Path | bytes, numbered: list[str]) -> Any:
    from pyarrow import parquet  # noqa: PLC0415  30 ms that only Parquet needs

    place = source if isinstance(source, Path) else io.BytesIO(source)
    # INT96 would be read as nanoseconds, which wrap around outside of 1677 to 2262.
    return parquet.ParquetFile(place, read_dictionary=numbered, coerce_int96_timestamp_unit="us")


def _groups(source: Path | bytes, wanted: Sequence[str]) -> Sequence[Group]:
    if isinstance(source, bytes):
        return tuple(parquet_footers.read(lambda at, n: source[at : at + n], len(source), wanted))
    stat = source.stat()
    return _groups_of(source, (stat.st_size, stat.st_mtime_ns, stat.st_ino), tuple(wanted))


@lru_cache(maxsize=4)  # the stretches of a file are read one after another
def _groups_of(
    path: Path, stamp: tuple[int, int, int], wanted: tuple[str, ...]
) -> tuple[Group, ...]:
    with path.open("rb", buffering=0) as file:
        handle = file.fileno()
        return tuple(parquet_footers.read(lambda at, n: os.pread(handle, n, at), stamp[0], wanted))


def _numbered(groups: Sequence[Group]) -> list[str]:
    """Return the columns of text that are stored as numbers of their values: kept so, for speed."""
    return sorted(
        {
            name
            for group in groups
            for name, (column, *others) in group.columns.items()
            if not others and column.is_numbered and column.kind == parquet_footers.BYTE_ARRAY
        }
    )


def _sizes(groups: Sequence[Group]) -> list[int]:
    return [group.rows for group in groups]


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except DataRefused:
        raise
    except _DAMAGE as why:
        if isinstance(why, OSError) and why.errno is not None:
            raise
        reason = (str(why) or type(why).__name__).splitlines()[0].rstrip(".")
        raise DataRefused(f"can't be read as Parquet: {reason}.") from None
