"""Read the bytes of one file as records, by its format; a malformed record becomes a fault.

CSV and JSON give strings: JSON numbers, `true` and `false` keep their text, so that `007`, `7` and
`1e5` stay different. Parquet gives its own types.
"""

import codecs
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from cll.pipeline.ingest.readers import compressed, csv_text, documents, json_lines, parquet
from cll.pipeline.ingest.readers.csv_records import TOP, Above
from cll.pipeline.ingest.readers.limits import refuse_over
from cll.pipeline.ingest.readers.records import EMPTY, Records, Wanted
from cll.types.errors import DataRefused


def format_of(name: str) -> str | None:
    """Return the format by a file's suffix; None if it is not supported.

    >>> format_of("a/b.csv.gz"), format_of("b.parquet"), format_of("notes.txt")
    ('.csv', '.parquet', None)
    """
    path = PurePath(name.lower())
    is_packed = path.suffix in {".gz", ".zst"}
    suffix = path.with_suffix("").suffix if is_packed else path.suffix
    return suffix if suffix in _READERS and not (is_packed and suffix == ".parquet") else None


def is_utf16(head: bytes) -> bool:
    """Return whether a file is UTF-16 by its first four bytes: a byte-order mark, or a zero byte."""
    return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:4]


def read(
    name: str, data: bytes, wanted: Wanted, before: int | None = None, header: Above = TOP
) -> Records:
    """Return the records of a file; raise DataRefused if the file as a whole can't be read.

    `before` is the number of lines before data that do not begin their file; None for the whole
    file. With a `header`, rows are numbered as if it stood directly above the data.
    """
    if not data and before is None:
        raise DataRefused(f"{EMPTY}.")
    kind = format_of(name) or ""
    if kind == ".parquet":
        return parquet.parse(data, wanted)
    return parse(kind, compressed.unpack(name, data, wanted.limits), wanted, before, header)


def parse(
    kind: str, data: bytes, wanted: Wanted, before: int | None = None, header: Above = TOP
) -> Records:
    """Return the records of uncompressed data, as `read` does."""
    text = plain(data, begins=before is None)
    if kind == ".json":
        refuse_over("decompressed_size", len(text), wanted.limits.decompressed_size)
    elif (before or 0) + len(text) > wanted.limits.rows:  # fewer bytes can't have this many lines
        lines = (before or 0) + text.count(b"\n") + (not text.endswith(b"\n"))
        lines += header.text.count(b"\n") - (kind == ".csv")
        refuse_over("rows", lines, wanted.limits.rows)
    if header.text:
        above = replace(header, text=plain(header.text, begins=False))
        return csv_text.parse(text, wanted, above)
    return _READERS[kind](text, wanted)


def plain(data: bytes, *, begins: bool) -> bytes:
    """Return text without a byte-order mark and without carriage returns at line ends."""
    if begins and is_utf16(data[:4]):
        raise DataRefused("is UTF-16; write it as UTF-8.")
    text = data.removeprefix(codecs.BOM_UTF8) if begins else data
    text = text.replace(b"\r\n", b"\n").removesuffix(b"\r") if b"\r" in text else text
    if not text and begins:
        raise DataRefused(f"{EMPTY}.")
    return text


_READERS: dict[str, Callable[[bytes, Wanted], Records]] = {
    ".jsonl": json_lines.parse_lines,
    ".ndjson": json_lines.parse_lines,
    ".json": documents.parse,
    ".csv": csv_text.parse,
    ".parquet": parquet.parse,
}
