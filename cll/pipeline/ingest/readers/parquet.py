"""Read Parquet in ranges of whole row groups, so that memory holds one range only.

Arrow reads the pages: Polars is faster, but a damaged page can crash the process. Arrow's footer
metadata can crash it as well, so cll.pipeline.ingest.readers.parquet_footers reads the footer.
"""

import io
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
from cll.pipeline.ingest.readers.weights import BatchCollector, Load, parted, weigh
from cll.types.errors import DataRefused

ROWS = 1_000_000  # approximate number of rows of a range
_ALONE = threading.Lock()
_BUFFER = 2**20  # bytes of a column that are read at once, if row groups are not light
# Exceptions of the libraries on damaged files; a panic of Polars is no Exception.
_DAMAGE = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    pa.ArrowException,
    ValueError,
    LookupError,
    OverflowError,
    OSError,
)

Stretch = tuple[int, int]  # first row, from 0, and number of rows


def stretches(path: Path) -> list[Stretch]:
    """Return the ranges of rows into which a file is divided, from the row groups in its footer."""
    stretches: list[Stretch] = [(0, 0)]
    for rows in _sizes(_groups(path, ())):
        first, count = stretches[-1]
        if count and count + rows > ROWS:
            stretches.append((first + count, 0))
            first, count = stretches[-1]
        stretches[-1] = (first, count + rows)
    return stretches


def parse(source: Path | bytes, wanted: Wanted) -> Records:
    """Read the wanted columns of a whole file in their own types, numbered by row from 1."""
    parts = list(read(source, wanted))
    return Records(
        pl.concat(part.rows for part in parts),
        np.concatenate([part.at for part in parts]),
        faults_frame([]),
    )


def read(source: Path | bytes, wanted: Wanted, stretch: Stretch | None = None) -> Iterator[Records]:
    """Yield the rows of a range, or of a whole file, in parts that fit in memory."""
    groups = _groups(source, wanted.columns)
    sizes = _sizes(groups)
    first, count = stretch or (0, sum(sizes))
    refuse_over("rows", sum(sizes), wanted.limits.rows)
    starts = np.cumsum([0, *sizes])[:-1]
    chosen = np.flatnonzero((starts >= first) & (starts < first + count)).tolist()
    with _bytes(source) as bytes_at:
        load = weigh(bytes_at, [groups[i] for i in chosen], wanted.limits.page_size)
    at = first
    with _damage():
        for rows in _frames(source, wanted, chosen, load):
            yield Records(rows, np.arange(at + 1, at + rows.height + 1), faults_frame([]))
            at += rows.height
            del rows  # free them before the next are read
    if at != first + count:
        raise DataRefused(f"can't be read as Parquet: it has not the {count} rows of its footer.")


def _frames(
    source: Path | bytes, wanted: Wanted, chosen: Sequence[int], load: Load
) -> Iterator[pl.DataFrame]:
    columns = list(wanted.columns)
    with _ALONE if load.is_heavy else nullcontext(), _opened(source, load) as file:
        refuse_lacking(file.schema_arrow.names, wanted.columns)
        if load.is_light:
            yield from parted(_frame(file.read_row_groups(chosen, columns=columns), columns))
            return
        collector = BatchCollector()
        settings = {"batch_size": load.batch_rows, "row_groups": chosen, "columns": columns}
        for batch in file.iter_batches(**settings):
            yield from collector.add(_frame(pa.Table.from_batches([batch]), columns), batch.nbytes)
        yield from collector.rest()


def _frame(table: Any, columns: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame([series(name, table[name]) for name in columns])


def _opened(source: Path | bytes, load: Load) -> Any:
    from pyarrow import parquet  # noqa: PLC0415  takes 30 ms, and only Parquet needs it

    return parquet.ParquetFile(
        source if isinstance(source, Path) else io.BytesIO(source),
        read_dictionary=list(load.numbered),
        pre_buffer=load.is_light,  # else a whole row group would be in memory
        buffer_size=0 if load.is_light else _BUFFER,
        # INT96 would be read as nanoseconds, which wrap around outside of 1677 to 2262.
        coerce_int96_timestamp_unit="us",
    )


def _groups(source: Path | bytes, wanted: Sequence[str]) -> Sequence[Group]:
    if isinstance(source, bytes):
        return _read_groups(source, len(source), wanted)
    stat = source.stat()
    return _groups_of(source, (stat.st_size, stat.st_mtime_ns, stat.st_ino), tuple(wanted))


@lru_cache(maxsize=4)  # the ranges of one file are read one after the other
def _groups_of(path: Path, stamp: tuple[int, int, int], wanted: tuple[str, ...]) -> Sequence[Group]:
    return _read_groups(path, stamp[0], wanted)


def _read_groups(source: Path | bytes, size: int, wanted: Sequence[str]) -> Sequence[Group]:
    with _bytes(source) as bytes_at:
        return tuple(parquet_footers.read(bytes_at, size, wanted))


@contextmanager
def _bytes(source: Path | bytes) -> Iterator[parquet_footers.Source]:
    if isinstance(source, bytes):
        yield lambda at, size: source[at : at + size]
        return
    with source.open("rb", buffering=0) as file:
        handle = file.fileno()
        yield lambda at, size: os.pread(handle, size, at)


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
