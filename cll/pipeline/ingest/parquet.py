"""Write signals as Parquet, with the encoding for each column that is small and fast.

A column of few distinct values is dictionary-encoded. Other floats are noise, of which only sign and
exponent can be compressed: BYTE_STREAM_SPLIT puts those bytes of all values next to each other, and
LZ4 skips the rest. The bytes depend on the rows only, and one thread writes them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from cll.system import disk, frames

_SAMPLE = 4096  # rows that decide whether a column has few values
_PIECE = 2**21  # bytes of one write; each write takes the interpreter lock
_FEW = 0.9  # distinct values in the sample, as a share of it


def write(path: Path, frame: pl.DataFrame) -> str:
    """Write rows to a scratch file, without fsync, and return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        disk.scratch(path) as file,
        pa.BufferedOutputStream(pa.PythonFile(file, "w"), _PIECE) as pieces,
    ):
        pack(frame, pieces)
    return file.sha256


def pack(frame: pl.DataFrame, file: Any) -> None:
    """Write a frame as Parquet; the same frame gives the same bytes. An Enum is read back as text."""
    from pyarrow import parquet  # noqa: PLC0415  takes 30 ms, and only writing needs it

    floats = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    noise = [name for name in floats if not _has_few_values(frame[name])]
    texts = [n for n, kind in frame.schema.items() if kind in (pl.String, pl.Enum)]
    numbered = [*texts, *floats]
    counts = [name for name, kind in frame.schema.items() if kind.is_integer()]
    columns = [_column(column) for column in frame]
    # A column without nulls needs no definition levels.
    schema = pa.schema(
        pa.field(name, column.type, nullable=column.null_count > 0)
        for name, column in zip(frame.columns, columns, strict=True)
    )
    parquet.write_table(
        pa.table(columns, schema=schema),
        file,
        compression="lz4",
        row_group_size=frames.ROW_GROUP,
        use_dictionary=[name for name in numbered if name not in noise],
        column_encoding=dict.fromkeys(noise, "BYTE_STREAM_SPLIT")
        | dict.fromkeys(counts, "DELTA_BINARY_PACKED"),
        write_statistics=["entity"],  # lets a reader of some entities skip row groups
        store_schema=False,
    )


def _has_few_values(column: pl.Series) -> bool:
    sample = column.to_numpy()[:: max(len(column) // _SAMPLE, 1)]
    return len(np.unique(sample)) < _FEW * len(sample)


def _column(column: pl.Series) -> Any:
    if isinstance(column.dtype, pl.Enum):
        names = column.dtype.categories.to_arrow()
        return pa.DictionaryArray.from_arrays(column.to_physical().to_arrow(), names)
    if column.dtype != pl.String or column.null_count() or not column.is_sorted():
        return column.to_arrow()
    # Equal values are adjacent, so run-length encoding gives the dictionary.
    names = column.rle().struct.field("value")
    return pa.DictionaryArray.from_arrays(column.rle_id().to_arrow(), names.to_arrow())
