"""Divide a file into extents, the units that are read and cached, and read them.

CSV and JSON Lines are divided by bytes, Parquet by row groups; any other file is one extent. A later
part of a CSV file is read with the last header in the parts before it, which is usually the one at
the top of the file.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from cll.pipeline.ingest.readers import compressed, csv_text, documents, formats, parquet, streams
from cll.pipeline.ingest.readers.csv_records import Above
from cll.pipeline.ingest.readers.limits import Limits, refuse_over
from cll.pipeline.ingest.readers.records import Records, Wanted, moved
from cll.pipeline.ingest.readers.streams import Pull
from cll.types.errors import DataRefused
from cll.types.records import Arrived


@dataclass(frozen=True)
class Extent:
    """One part of a file, or one range of rows of a part."""

    file: str
    start: int  # offset in bytes
    stop: int | None  # None: to the end of the file
    row: int  # line number of the extent's start in the file
    sha256: str  # digest of the extent's bytes
    as_of: datetime | None  # when these bytes arrived
    header: bytes = b""
    header_row: int = 0  # line of the header; 0: it is at the top of the file
    names: tuple[str, ...] = ()  # columns of all headers before the extent, if there are several
    rows: parquet.Stretch | None = None

    @property
    def key(self) -> dict[str, Any]:
        """Return the cache key: everything that the records depend on."""
        header = self.header.decode(errors="backslashreplace")
        key = {"file": self.file, "sha256": self.sha256, "row": self.row}
        key |= {"header": header} if header else {}
        if self.header_row:
            key |= {"header_row": self.header_row, "names": list(self.names)}
        return key | ({"rows": list(self.rows)} if self.rows else {})


def extents(file: Arrived, limits: Limits) -> Iterator[Extent]:
    """Yield the extents of a file; an unreadable file is refused later, when it is read."""
    whole = Extent(file.file, 0, None, 1, file.sha256, None)
    if not file.parts:
        yield from [] if file.torn else [whole]
        return
    kind, path = formats.format_of(file.file), Path(file.file)
    header = b""
    if kind == ".csv" and len(file.parts) > 1:
        header = _readable_top(path, limits)
    for part in file.parts:
        extent = Extent(file.file, part.start, part.stop, part.row, part.sha256, part.as_of)
        if kind == ".parquet":
            yield from (replace(extent, rows=rows) for rows in _stretches(path))
        elif part.header is not None:
            text = f"{part.header.text}\n".encode()
            row, names = part.header.row, part.header.names
            yield replace(extent, header=text, header_row=row, names=names)
        elif part.start == 0 and part.stop >= len(header):
            yield extent
        elif part.stop >= len(header):
            yield _headed(extent, header)


def waits_for_header(file: Arrived) -> bool:
    """Return whether the pending line is the header of a CSV file, and so no record."""
    return not file.parts and formats.format_of(file.file) == ".csv"


def _headed(extent: Extent, header: bytes) -> Extent:
    """Return a part with the header before it; a part that begins inside the header skips it."""
    if extent.start < len(header):
        extent = replace(extent, start=len(header), row=1 + header.count(b"\n"))
    return replace(extent, header=header.removeprefix(codecs.BOM_UTF8))


def read(extent: Extent, wanted: Wanted) -> Iterator[Records]:
    """Yield an extent's records in blocks that fit in memory, numbered as in the whole file.

    If it raises DataRefused, the whole extent is refused, with the blocks already yielded.
    """
    path, limits = Path(extent.file), wanted.limits
    size = path.stat().st_size if extent.stop is None else extent.stop
    refuse_over("file_size", size, limits.file_size)
    kind = formats.format_of(extent.file) or ""
    if kind == ".parquet":
        yield from parquet.read(path, wanted, extent.rows)
    elif compressed.is_packed(extent.file):
        with compressed.opened(path, limits) as pull:
            yield from _read(extent, kind, pull, wanted)
    else:
        with path.open("rb") as file:
            file.seek(extent.start)
            size -= extent.start
            yield from _read(extent, kind, _within(file, size), wanted, size)


def _within(file: BinaryIO, left: int) -> Pull:
    """Return a function that reads the next bytes of a file, `left` of them in all."""

    def pull(most: int) -> bytes:
        nonlocal left
        piece = file.read(min(most, left))
        if left and not piece:
            raise DataRefused("the file shrank while it was read.")
        left -= len(piece)
        return piece

    return pull


def _read(
    extent: Extent, kind: str, pull: Pull, wanted: Wanted, size: int | None = None
) -> Iterator[Records]:
    if kind == ".json":
        yield from _document(pull, wanted)
        return
    blocks = _Blocks(extent, kind, wanted)
    for block in streams.blocks(pull, kind, wanted.limits.line_length, size):
        yield blocks.read(block)
        del block  # free it before the next is read


class _Blocks:
    """Reader of an extent's blocks; each is read with the last header before it."""

    def __init__(self, extent: Extent, kind: str, wanted: Wanted) -> None:
        self._extent, self._kind, self._wanted = extent, kind, wanted
        self._above = Above(extent.header, extent.header_row, 0, extent.names)

    def read(self, block: streams.Block) -> Records:
        """Read the next block; its records are numbered as in the whole file."""
        if self._extent.start == 0 and block.before == 0:
            records = formats.parse(self._kind, block.text, self._wanted)
        else:
            records = self._numbered(block.text, self._extent.row - 1 + block.before)
        if self._kind == ".csv":
            most = self._wanted.limits.line_length
            self._above = csv_text.below(self._above, block.text, records, most)
        # Only the first block is checked for the needed keys.
        self._wanted = replace(self._wanted, needed=())
        return records

    def _numbered(self, text: bytes, before: int) -> Records:
        """Return the records of text that follows `before` lines of its file."""
        # If the part before was seen without its last newline, this part begins with it.
        body = text.lstrip(b"\r\n") if text[:1] in {b"\r", b"\n"} else text
        before += text.count(b"\n", 0, len(text) - len(body))
        shift = before - self._above.text.count(b"\n")
        above = replace(self._above, shift=shift)
        return moved(formats.parse(self._kind, body, self._wanted, before, above), shift)


def _document(pull: Pull, wanted: Wanted) -> Iterator[Records]:
    head = streams.filled(pull, documents.WHOLE + 1)
    if len(head) <= documents.WHOLE:
        yield formats.parse(".json", head, wanted)
    else:
        yield from documents.stream(formats.plain(head, begins=True), pull, wanted)


def _readable_top(path: Path, limits: Limits) -> bytes:
    try:
        return csv_text.top(path, limits.line_length)
    except OSError:
        return b""


def _stretches(path: Path) -> list[parquet.Stretch | None]:
    try:
        return [*parquet.stretches(path)]
    except (DataRefused, OSError):
        return [None]
