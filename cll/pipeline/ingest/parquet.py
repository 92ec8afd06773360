"""Signals as Parquet, each column in the way that makes it small in little time.

Telemetry is rounded, or it is noise. A column of few values is written once, and each row as the
number of its value. Of noise only sign and exponent are worth packing: the first bytes of all
values are laid beside one another, and so on, so that LZ4 passes over the rest. What is written
follows from the rows alone, and by one thread.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from cll.system import disk, frames

_SAMPLE = 4096  # rows that tell whether a column has few values
_PIECE = 2**21  # bytes that are written at once: at each, threads take turns
_FEW = 0.9  # of these, as a share


def write(path: Path, frame: pl.DataFrame) -> str:
    """Write rows where nothing is believed yet, or may be lost. Returns their digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        disk.scratch(path) as file,
        pa.BufferedOutputStream(pa.PythonFile(file, "w"), _PIECE) as pieces,
    ):
        pack(frame, pieces)
    return file.sha256


def pack(frame: pl.DataFrame, file: Any) -> None:
    """Write Parquet: same frame, same bytes. An Enum is read back as text."""
    from pyarrow import parquet  # noqa: PLC0415  30 ms that only who writes needs

    floats = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    noise = [name for name in floats if not _has_few_values(frame[name])]
    texts = [n for n, kind in frame.schema.items() if kind in (pl.String, pl.Enum)]
    numbered = [*texts, *floats]
    counts = [name for name, kind in frame.schema.items() if kind.is_integer()]
    columns = [_column(one) for one in frame]
    # Where nothing is missing, nobody has to write down for each value that it is there.
    schema = pa.schema(
        pa.field(name, one.type, nullable=one.null_count > 0)
        for name, one in zip(frame.columns, columns, strict=True)
    )
    parquet.write_table(
        pa.table(columns, schema=schema),
        file,
        compression="lz4",
        row_group_size=frames.ROW_GROUP,
        use_dictionary=[name for name in numbered if name not in noise],
        column_encoding=dict.fromkeys(noise, "BYTE_STREAM_SPLIT")
        | dict.fromkeys(counts, "DELTA_BINARY_PACKED"),
        write_statistics=["entity"],  # who reads some entities passes over row groups by these
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
    # Its values stand together: to number them, only neighbours have to be compared.
    names = column.rle().struct.field("value")
    return pa.DictionaryArray.from_arrays(column.rle_id().to_arrow(), names.to_arrow())
