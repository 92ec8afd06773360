"""Estimate the memory that Parquet row groups need before reading, and split rows after it.

Encodings can inflate: 8 KiB of dictionary indices can be millions of rows, and each of them may be a
long text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from cll.pipeline.ingest.readers import parquet_footers
from cll.pipeline.ingest.readers.arrow import lengths
from cll.pipeline.ingest.readers.limits import over
from cll.pipeline.ingest.readers.parquet_footers import ColumnChunk, Group
from cll.types.errors import DataRefused

ROWS = 1_000_000  # about this many are read at once
_BYTES = 96 * 2**20  # bytes that are read at once
_PIECE = 2**26  # bytes of a batch
_BATCH = 2**16  # rows of a batch


@dataclass(frozen=True)
class Load:
    """The way to read some row groups, by the memory they need."""

    is_light: bool  # whether all row groups can be read at once
    is_heavy: bool  # whether they need too much memory to be read in parallel with others
    batch_rows: int  # rows of a batch, if they are not light
    numbered: tuple[str, ...]  # text columns that are read as dictionaries


def weigh(source: parquet_footers.Source, groups: Sequence[Group], most: int) -> Load:
    """Return the load of row groups from the headers of all their pages, since a footer may lie.

    Raises DataRefused if the largest pages of all columns together have more than `most` bytes.
    """
    largest: dict[str, int] = {}  # bytes of a page, by column
    dense: dict[str, int] = {}  # bytes of a value, on average over its page
    widths: dict[str, int] = {}
    unpacked = nested = 0
    grows, numbered = False, set[str]()
    for group in groups:
        for name, columns in group.columns.items():
            for column in columns:
                sizes = list(parquet_footers.pages(source, column))
                largest[name] = max(largest.get(name, 0), *(size for size, _ in sizes), 0)
                mean = max((size // count for size, count in sizes if count), default=0)
                dense[name] = max(dense.get(name, 0), mean, column.width)
                unpacked += max(column.packed, sum(size for size, _ in sizes))
                nested += sum(count for _, count in sizes) if column.is_nested else 0
                # In nested columns and with DELTA_BYTE_ARRAY one text may take a whole page.
                grows |= column.is_nested or parquet_footers.DELTA_BYTE_ARRAY in column.encodings
            widths[name] = max(widths.get(name, 0), sum(column.width for column in columns))
            if _is_numbered(columns):
                numbered.add(name)
    _refuse_over(largest, most)
    rows, width = sum(group.rows for group in groups), sum(widths.values())
    most_of_row = sum(dense.values())
    if grows:
        most_of_row = max(most_of_row, *largest.values(), 16 * nested)
    batch = _PIECE // max(1, most_of_row)
    light = rows <= ROWS * 5 // 4 and max(unpacked, rows * width) <= _BYTES and not grows
    heavy = sum(largest.values()) > most // 8
    return Load(light, heavy, max(1, min(_BATCH, batch)), tuple(sorted(numbered)))


def _refuse_over(largest: dict[str, int], most: int) -> None:
    if sum(largest.values()) > most:
        name = max(largest, key=lambda name: largest[name])
        size = largest[name]
        raise DataRefused(f"a page of {name!r} unpacks to {size} bytes: {over('page_size', most)}.")


def _is_numbered(columns: Sequence[ColumnChunk]) -> bool:
    (column, *others) = columns
    is_text = column.kind == parquet_footers.BYTE_ARRAY and not (others or column.is_nested)
    return is_text and column.is_numbered


def parted(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the frame as it is, or in parts if its texts have more than _BYTES bytes."""
    texts = lengths(frame)
    if sum(int(sizes.sum()) for sizes in texts) <= _BYTES:
        yield frame
        return
    total = sum(sizes.fill_null(0).to_numpy().astype(np.int64) for sizes in texts)
    part = np.cumsum(total) // _BYTES
    edges = np.flatnonzero(np.diff(part)) + 1
    for start, stop in zip([0, *edges], [*edges, frame.height], strict=True):
        yield frame[int(start) : int(stop)]


class BatchCollector:
    """Collector of batches, up to ROWS rows or _BYTES bytes."""

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []
        self._rows = self._bytes = 0

    def add(self, batch: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
        """Add a batch of `size` bytes; yield the collected rows first if it does not fit."""
        for frame in parted(batch):
            size += sum(int(texts.sum()) for texts in lengths(frame))
            if self._rows + frame.height > ROWS or self._bytes + size > _BYTES:
                yield from self.rest()
            self._frames.append(frame)
            self._rows += frame.height
            self._bytes += size
            size = 0

    def rest(self) -> Iterator[pl.DataFrame]:
        """Yield the collected rows, if any."""
        if self._frames:
            frames, self._frames, self._rows, self._bytes = self._frames, [], 0, 0
            yield pl.concat(frames)
