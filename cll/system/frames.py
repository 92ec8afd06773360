"""Parquet and CSV files of the project, read and written as Polars frames."""

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from cll.system.disk import scratch, write_bytes
from cll.types.errors import DataRefused, Unavailable

ROW_GROUP = 262_144  # rows; the least that is read of a day whose entities are processed in batches


def write_frame(path: Path, frame: pl.DataFrame) -> str:
    """Write Parquet atomically, and return its digest; equal frames give equal bytes."""
    data = _parquet(frame)
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def write_scratch(path: Path, frame: pl.DataFrame) -> str:
    """Write Parquet without syncing it to disk, and return its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path) as file:
        file.write(_parquet(frame))
    return file.sha256


def _parquet(frame: pl.DataFrame) -> memoryview:
    buffer = io.BytesIO()
    # Level 3 would shrink telemetry by another quarter, and take half as long again.
    frame.rechunk().write_parquet(
        buffer,
        compression="zstd",
        compression_level=1,
        statistics=True,
        row_group_size=ROW_GROUP,
    )
    return buffer.getbuffer()


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    """Write a small frame for `dvc plots`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(frame.iter_rows())
    write_bytes(path, text.getvalue().encode())


def read_csv(path: Path) -> pl.DataFrame:
    """Read a small frame that `write_csv` wrote."""
    texts = dict.fromkeys(("entity", "time", "kind", "model"), pl.String)
    frame = pl.read_csv(path, infer_schema_length=None, schema_overrides=texts)
    if "time" not in frame.columns:
        return frame
    # A given format parses thirty times as fast as one that Polars has to infer.
    return frame.with_columns(pl.col("time").str.to_datetime("%+", time_unit="us", time_zone="UTC"))


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read one Parquet file of the project, or some of its columns."""
    try:
        return pl.read_parquet(path, columns=columns, hive_partitioning=False)  # type: ignore[arg-type]
    except FileNotFoundError:
        raise Unavailable(f"{path}: not there yet; run `dvc repro` first.") from None
    except pl.exceptions.PolarsError as error:
        says = str(error).split("\n", 1)[0]
        raise DataRefused(f"{path}: damaged ({says}); remove it and run `dvc repro`.") from None
