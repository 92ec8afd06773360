"""The bytes of one file as records: text stays text, and what is no record becomes a fault.

CSV and JSON give strings: a JSON number keeps its text, `true` and `false` become text, so that
`007`, `7` and `1e5` stay what they are. Parquet gives its own types.
"""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from cll import delimited
from cll.errors import DataRefused
from cll.records import Fault, Records, faults_frame, refuse_lacking
from cll.values import VALUE_WIDTH

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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {max(keys, key=keys.count)!r} stands twice")
    return record


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=str, parse_float=str, parse_constant=str
).decode


def _jsonl(data: bytes, wanted: Sequence[str]) -> Records:
    found: list[tuple[int, Any]] = []
    faults: list[Fault] = []
    for number, line in enumerate(_plain(data).split(b"\n"), 1):
        if not line or line.isspace():
            continue
        try:
            found.append((number, _decode(line.decode())))
        except (ValueError, RecursionError) as why:
            text = line[: 4 * VALUE_WIDTH].decode(errors="backslashreplace")
            faults.append((number, None, text, _reason(why)))
    return _records(found, faults, wanted)


def _json(data: bytes, wanted: Sequence[str]) -> Records:
    try:
        found = _decode(_plain(data).decode())
    except (ValueError, RecursionError) as why:
        hint = "; name a file with a record a line .jsonl" if "Extra data" in str(why) else ""
        raise DataRefused(f"{_reason(why)}{hint}.") from None
    return _records(list(enumerate(found if isinstance(found, list) else [found], 1)), [], wanted)


def _reason(why: Exception) -> str:
    if isinstance(why, UnicodeDecodeError):
        return "not UTF-8"
    return f"not JSON: {'nested too deep' if isinstance(why, RecursionError) else why}"


def _records(found: list[tuple[int, Any]], faults: list[Fault], wanted: Sequence[str]) -> Records:
    objects = [(n, record) for n, record in found if isinstance(record, dict)]
    if len(objects) < len(found):
        others = ((n, record) for n, record in found if not isinstance(record, dict))
        faults += [(n, None, str(record), "not an object") for n, record in others]
    try:
        rows = _frame([record for _, record in objects], wanted)
    except (TypeError, UnicodeEncodeError):
        told = [(n, _texts(record, wanted)) for n, record in objects]
        faults += [(n, *texts) for n, texts in told if isinstance(texts, tuple)]
        objects = [(n, texts) for n, texts in told if isinstance(texts, dict)]
        rows = _frame([texts for _, texts in objects], wanted)
    at = np.array([n for n, _ in objects], dtype=np.int64)
    return Records(rows, at, faults_frame(faults))


def _frame(records: Sequence[dict[str, Any]], wanted: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {name: pl.Series([r.get(name) for r in records], dtype=pl.String) for name in wanted}
    )


def _texts(
    record: dict[str, Any], wanted: Sequence[str]
) -> dict[str, str | None] | tuple[str, str, str]:
    """Return the wanted values as text, or field, value and reason of the first that has none."""
    texts: dict[str, str | None] = {}
    for name in wanted:
        value = record.get(name)
        text = str(value).lower() if isinstance(value, bool) else value
        if text is not None and not isinstance(text, str):
            return name, str(value), "a list or an object, where a value is needed"
        if text is not None and any("\ud800" <= letter <= "\udfff" for letter in text):
            return name, text, "not UTF-8"
        texts[name] = text
    return texts


_READERS: dict[str, Callable[[bytes, Sequence[str]], Records]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
