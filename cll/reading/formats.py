"""The bytes of one file as records: text stays text, and what is no record becomes a fault.

CSV and JSON give strings: a JSON number keeps its text, `true` and `false` become text, so that
`007`, `7` and `1e5` stay what they are. Parquet gives its own types.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import PurePath

import numpy as np
import polars as pl
import pyarrow as pa

from cll.errors import DataRefused
from cll.reading import delimited, objects
from cll.reading.records import Records, faults_frame, refuse_lacking

MAX_BYTES = 2**31  # unpacked; more than that is a bomb, or a file to be cut up
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def format_of(name: str) -> str | None:
    """Return the format that a file's name tells, or None where it is none that is read here.

    >>> format_of("a/b.csv.gz"), format_of("b.parquet"), format_of("notes.txt")
    ('.csv', '.parquet', None)
    """
    path = PurePath(name.lower())
    packed = path.suffix in {".gz", ".zst"}
    suffix = path.with_suffix("").suffix if packed else path.suffix
    return suffix if suffix in _READERS and not (packed and suffix == ".parquet") else None


def read(name: str, data: bytes, wanted: Sequence[str]) -> Records:
    """Read the columns `wanted`; a file that can't be read as a whole raises DataRefused.

    CSV and Parquet must have each of `wanted`. A JSON object may lack some: null.
    """
    if not data:
        raise DataRefused("the file is empty.")
    return _READERS[format_of(name) or ""](_unpack(name, data), wanted)


def _unpack(name: str, data: bytes) -> bytes:
    try:
        if name.lower().endswith(".gz"):
            unpacked = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_BYTES + 1)
        elif name.lower().endswith(".zst"):
            unpacked = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read(MAX_BYTES + 1)
        else:
            unpacked = data
    except (OSError, EOFError, zlib.error) as why:
        raise DataRefused(f"can't be unpacked: {why}.") from None
    if len(unpacked) > MAX_BYTES:
        raise DataRefused(f"unpacks to more than {MAX_BYTES} bytes; cut it up.")
    return unpacked


def _plain(data: bytes) -> bytes:
    """Return text without byte-order mark and carriage returns at line ends."""
    if data.startswith(_UTF16):
        raise DataRefused("is UTF-16; write it as UTF-8.")
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    if not text:
        raise DataRefused("the file is empty.")
    return text


def _csv(data: bytes, wanted: Sequence[str]) -> Records:
    return delimited.parse(_plain(data), wanted)


def _parquet(data: bytes, wanted: Sequence[str]) -> Records:
    # A damaged file can make Polars panic, and a panic is no Exception.
    damage = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
    try:
        refuse_lacking(list(pl.read_parquet_schema(io.BytesIO(data))), wanted)
        rows = pl.read_parquet(io.BytesIO(data), columns=list(wanted)).select(wanted)
    except damage as why:
        raise DataRefused(f"can't be read as Parquet: {str(why).splitlines()[0]}.") from None
    return Records(rows, np.arange(1, rows.height + 1), faults_frame([]))


def _jsonl(data: bytes, wanted: Sequence[str]) -> Records:
    return objects.parse_lines(_plain(data), wanted)


def _json(data: bytes, wanted: Sequence[str]) -> Records:
    return objects.parse(_plain(data), wanted)


_READERS: dict[str, Callable[[bytes, Sequence[str]], Records]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
