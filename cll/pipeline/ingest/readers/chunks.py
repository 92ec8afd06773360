"""Build, join and count chunks of a file's records, with faults as REJECTS."""

from collections.abc import Callable, Iterable, Iterator

import polars as pl

from cll.pipeline.ingest.readers.records import faults_frame
from cll.types.records import Chunk
from cll.types.tables import REJECTS


def placed(faults: pl.DataFrame, table: str, file: str) -> pl.DataFrame:
    """Return faults as REJECTS of a file."""
    places = [pl.lit(table).alias("table"), pl.lit(file).alias("file")]
    return faults.with_columns(places).select(list(REJECTS))


def refusal(why: Exception, table: str, file: str) -> pl.DataFrame:
    """Return the refusal of a file, or of a part of it, as one row of REJECTS."""
    text = why.strerror or str(why) if isinstance(why, OSError) else str(why)
    return placed(faults_frame([(None, None, None, text.rstrip("."))]), table, file)


def joined(stream: Callable[[], Iterator[Chunk]]) -> Chunk:
    """Return all chunks of a piece as one; a chunk that replaces drops those before it."""
    chunks: list[Chunk] = []
    for chunk in stream():
        chunks = [chunk] if chunk.replaces else [*chunks, chunk]
    return Chunk(
        chunks[0].table,
        pl.concat(chunk.rows for chunk in chunks),
        pl.concat(chunk.rejects for chunk in chunks),
        sum(chunk.records for chunk in chunks),
        header=next((chunk.header for chunk in reversed(chunks) if chunk.header), None),
    )


def count(stream: Iterable[Chunk]) -> int:
    """Return the number of records in all chunks of a piece."""
    records = 0
    for chunk in stream:
        records = chunk.records + (0 if chunk.replaces else records)
    return records
