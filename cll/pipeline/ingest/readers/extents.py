"""What is read of a file at once, and what these records follow from.

CSV and JSON Lines are read by parts of bytes, Parquet by row groups, any other file as a whole. A
part of a CSV file behind its first is read with the header that stands at the file's top, or with
the last one that stands in the parts before it.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cll.pipeline.ingest.readers import csv_text, formats, parquet
from cll.pipeline.ingest.readers.csv_records import Above
from cll.pipeline.ingest.readers.limits import Limits, refuse_over
from cll.pipeline.ingest.readers.records import Records, Wanted
from cll.types.errors import DataRefused
from cll.types.records import Arrived


@dataclass(frozen=True)
class Extent:
    """One part of a file, or one stretch of a part."""

    file: str
    start: int  # bytes
    stop: int | None  # None: as far as the file goes
    row: int  # the number of its first line
    sha256: str  # of its bytes
    as_of: datetime | None  # when they arrived
    header: bytes = b""
    header_row: int = 0  # its line; 0: it is the one at the file's top
    names: tuple[str, ...] = ()  # of all headers before it, where there is more than one
    rows: parquet.Stretch | None = None

    @property
    def key(self) -> dict[str, Any]:
        """Say what the records follow from."""
        header = self.header.decode(errors="backslashreplace")
        key = {"file": self.file, "sha256": self.sha256, "row": self.row}
        key |= {"header": header} if header else {}
        if self.header_row:
            key |= {"header_row": self.header_row, "names": list(self.names)}
        return key | ({"rows": list(self.rows)} if self.rows else {})


def extents(found: Arrived, limits: Limits) -> Iterator[Extent]:
    """Divide a file; what is wrong with it is told when it is read."""
    whole = Extent(found.file, 0, None, 1, found.sha256, None)
    if not found.parts:
        yield from [] if found.torn else [whole]
        return
    kind, path = formats.format_of(found.file), Path(found.file)
    header = b""
    if kind == ".csv" and len(found.parts) > 1:
        header = _readable_top(path, limits)
    for part in found.parts:
        extent = Extent(found.file, part.start, part.stop, part.row, part.sha256, part.as_of)
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


def _headed(extent: Extent, header: bytes) -> Extent:
    """Give a part the header that stands before it, or of which it holds the end only."""
    if extent.start < len(header):
        extent = replace(extent, start=len(header), row=1 + header.count(b"\n"))
    return replace(extent, header=header.removeprefix(codecs.BOM_UTF8))


def read(extent: Extent, wanted: Wanted) -> Records:
    """Read an extent's records, numbered as in the whole file."""
    path, limits = Path(extent.file), wanted.limits
    size = path.stat().st_size if extent.stop is None else extent.stop
    refuse_over("file_size", size, limits.file_size)
    if extent.rows is not None:
        return parquet.parse(path, wanted, extent.rows)
    with path.open("rb") as file:
        file.seek(extent.start)
        data = file.read(size - extent.start)
    if len(data) < size - extent.start:
        raise DataRefused("the file shrank while it was read.")
    if extent.start == 0:
        return formats.read(extent.file, data, wanted)
    # What ended without a newline when it was first seen leaves it to the next part.
    body = data.lstrip(b"\r\n")
    before = extent.row - 1 + data.count(b"\n", 0, len(data) - len(body))
    shift = before - extent.header.count(b"\n")
    above = Above(extent.header, extent.header_row, shift, extent.names)
    records = formats.read(extent.file, body, wanted, before, above)
    faults = records.faults.with_columns(records.faults["row"] + shift)
    return replace(records, at=records.at + shift, faults=faults)


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
