"""Records as sources hand them over, and the count of what became of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

Table = Literal["signals", "incidents"]


@dataclass(frozen=True)
class Header:
    """A header in the middle of a file."""

    row: int  # its line
    text: str
    names: tuple[str, ...] = ()  # of all headers of the file so far, sorted


@dataclass(frozen=True)
class Tail:
    """Bytes at the end of a file that are no whole record yet."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Chunk:
    """Records of one table: `records` = rows + rejects + pending, always."""

    table: Table
    rows: pl.DataFrame  # SIGNAL_KEYS + Columns, or INCIDENTS; plus `file` (String), `row` (Int64)
    rejects: pl.DataFrame  # REJECTS, one row a record
    records: int
    pending: int = 0  # records that are still being written
    header: Header | None = None  # the last one in it, where its file has more than one
    replaces: bool = False  # all of its piece was refused: the piece's chunks before it don't count


@dataclass(frozen=True)
class Piece:
    """Records that a source reads at once.

    Equal keys are equal records: where nothing else changed, a piece is not read again. The key
    holds all that the records follow from, save the source's settings, code and libraries.
    """

    table: Table
    name: str  # where a person finds it
    key: Mapping[str, Any]  # JSON-able
    read: Callable[[], Chunk]
    # The same records in several chunks, always cut alike, where one might not fit into memory.
    stream: Callable[[], Iterator[Chunk]] | None = None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the records, bounded in memory where the source can."""
        if self.stream is None:
            yield self.read()
        else:
            yield from self.stream()


@dataclass(frozen=True)
class Arrival:
    """When a file's first `size` bytes were first seen; `as_of` is the world's, never the clock's."""

    file: str
    sha256: str  # of these bytes
    as_of: datetime
    size: int
    tail: Tail | None = None  # the file's rest, where that was pending

    @property
    def total(self) -> int:
        """The bytes of the whole file."""
        return self.size + (self.tail.size if self.tail else 0)


@dataclass(frozen=True)
class Part:
    """Bytes of a file that hold whole records and arrived together."""

    start: int
    stop: int
    row: int  # the number of the first line in it, from 1
    sha256: str  # of these bytes
    as_of: datetime  # when they were first seen
    header: Header | None = None  # the last one before it; None: the one at the file's top


@dataclass(frozen=True)
class Arrived:
    """A file as it lies there now, in parts that are small enough to be read at once."""

    file: str
    sha256: str  # of its whole records' bytes
    parts: tuple[Part, ...]
    torn: bool = False  # behind them stands a record that is still being written


@dataclass(frozen=True)
class Counts:
    """What became of the records: `records_in` = kept + quarantined + duplicate + pending."""

    records_in: int = 0
    kept: int = 0
    quarantined: int = 0
    duplicate: int = 0
    pending: int = 0


RECORDS = (
    "{in:,} in = {kept:,} kept + {quarantined:,} quarantined + {duplicate:,} duplicate"
    " + {pending:,} pending"
)
