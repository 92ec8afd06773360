"""Records as sources yield them, and the counts of kept, quarantined, duplicate and pending ones."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

Table = Literal["signals", "incidents"]


@dataclass(frozen=True)
class Header:
    """A header line in the middle of a file."""

    row: int  # line number of the header
    text: str
    names: tuple[str, ...] = ()  # of all headers of the file so far, sorted


@dataclass(frozen=True)
class Tail:
    """Bytes at the end of a file that do not form a whole record yet."""

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
    header: Header | None = None  # the last header in it, where the file has several
    replaces: bool = False  # its whole piece was refused, so the piece's earlier chunks don't count


@dataclass(frozen=True)
class Piece:
    """A batch of records that a source reads in one call.

    A piece whose key did not change is not read again. The key holds everything that the records
    depend on, except the source's settings, code and libraries.
    """

    table: Table
    name: str  # shown in messages, such as a path
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
    """The `as_of` of world.yaml when a file's first `size` bytes were first read."""

    file: str
    sha256: str  # of these bytes
    as_of: datetime
    size: int
    tail: Tail | None = None  # the last record, if it was pending

    @property
    def total(self) -> int:
        """Return the size of the whole file, in bytes."""
        return self.size + (self.tail.size if self.tail else 0)


@dataclass(frozen=True)
class Part:
    """Bytes of a file that hold whole records and arrived together."""

    start: int
    stop: int
    row: int  # the number of the first line in it, from 1
    sha256: str  # of these bytes
    as_of: datetime  # `as_of` of world.yaml when these bytes were first read
    header: Header | None = None  # the last header before it; None if that is the file's first line


@dataclass(frozen=True)
class Arrived:
    """A file as it is now, divided into parts that are small enough to be read at once."""

    file: str
    sha256: str  # of its whole records' bytes
    parts: tuple[Part, ...]
    torn: bool = False  # whether a record that is still being written follows


@dataclass(frozen=True)
class Counts:
    """Counts of records: `records_in` = kept + quarantined + duplicate + pending, always."""

    records_in: int = 0
    kept: int = 0
    quarantined: int = 0
    duplicate: int = 0
    pending: int = 0


RECORDS = (
    "{in:,} in = {kept:,} kept + {quarantined:,} quarantined + {duplicate:,} duplicate"
    " + {pending:,} pending"
)
