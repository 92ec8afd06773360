"""Excerpts of published files: the records in quarantine, byte for byte, for a person to correct."""

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from cll.pipeline.ingest.readers.formats import format_of

_PACKED = {".gz", ".zst"}
_LONGEST = 2**20  # bytes; a quoted record that is longer is taken as one with a lost quote
_MARK = b"\xef\xbb\xbf"


def name_of(file: Path) -> Path:
    """Return the name of a file's excerpt, which is never compressed.

    >>> name_of(Path("runs/a.csv.gz")).as_posix()
    'runs/a.csv'
    """
    return file.with_suffix("") if file.suffix.lower() in _PACKED else file


def excerpt(path: Path, rows: Sequence[int]) -> bytes:
    """Return the records at `rows`: line numbers in CSV and JSONL, else record numbers, from 1.

    CSV comes with its header, JSON as an array. Rows that the file no longer has are left out.
    """
    kind, wanted = format_of(path.name), sorted(set(rows))
    if kind == ".parquet":
        return _parquet(path, wanted)
    with _opened(path) as file:
        if kind == ".json":
            texts = _elements(file.read().removeprefix(_MARK).decode())
            kept = [text for number, text in enumerate(texts, 1) if number in wanted]
            return ("[\n" + ",\n".join(kept) + "\n]\n").encode()
        lines = enumerate(file, 1)
        if kind == ".csv":
            return b"".join(_ended(record) for record in _csv(lines, wanted))
        chosen = set(wanted)
        return b"".join(_ended(line) for number, line in lines if number in chosen)


def _parquet(path: Path, wanted: Sequence[int]) -> bytes:
    """Take rows by their numbers, with Arrow: a damaged file can crash the process in Polars."""
    from pyarrow import parquet  # noqa: PLC0415  for this format alone

    numbers, before, buffer = np.array(wanted), 0, io.BytesIO()
    try:
        with (
            parquet.ParquetFile(path) as file,
            parquet.ParquetWriter(buffer, file.schema_arrow) as kept,
        ):
            for batch in file.iter_batches():
                inside = (numbers > before) & (numbers <= before + batch.num_rows)
                kept.write_batch(batch.take(pa.array(numbers[inside] - before - 1)))
                before += batch.num_rows
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None
    return buffer.getvalue()


def mended(name: str, data: bytes, excerpt: bytes) -> bytes:
    """Return the changed records of a corrected excerpt; if the header was changed, all records."""
    kind = format_of(name)
    if kind not in {".csv", ".jsonl", ".ndjson"}:
        return data
    after, before = list(_records(data)), list(_records(excerpt))
    header = after[:1] if kind == ".csv" else []
    if header and header != before[:1]:
        return _ended(data)  # a last line without a newline would be pending
    unchanged = set(before)
    changed = (record for record in after[len(header) :] if record not in unchanged)
    return b"".join([*header, *changed])


def _records(text: bytes) -> Iterator[bytes]:
    kept = b""
    for line in io.BytesIO(text):
        kept += _ended(line)
        if kept.count(b'"') % 2 == 0:
            yield kept
            kept = b""
    if kept:
        yield kept


def _opened(path: Path) -> io.BufferedIOBase:
    if path.suffix.lower() == ".gz":
        return gzip.open(path)
    if path.suffix.lower() == ".zst":
        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return path.open("rb")


def _ended(record: bytes) -> bytes:
    return record if record.endswith(b"\n") else record + b"\n"


def _elements(text: str) -> Iterator[str]:
    """Yield the text of each element of a JSON array, or of a value that is not in an array."""
    decoder, at = json.JSONDecoder(), 0
    at = _skip_blanks(text, at)
    if text[at] != "[":
        yield text.strip()
        return
    at = _skip_blanks(text, at + 1)
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = _skip_blanks(text, end)
        at = _skip_blanks(text, at + 1) if text[at] == "," else at


def _skip_blanks(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _csv(lines: Iterator[tuple[int, bytes]], wanted: Sequence[int]) -> Iterator[bytes]:
    """Yield the header, and each record that starts on a line of `wanted`, with all of its lines.

    A record goes on over several lines while its quotes are not closed. If they do not close within
    `_LONGEST` bytes, or another wanted record starts first, a quote was lost, and the first line
    alone counts as the record.
    """
    starts, header = set(wanted), False
    kept: list[bytes] = []  # lines of a record whose quotes have not closed yet
    for number, raw in lines:
        line = raw.removeprefix(_MARK) if number == 1 else raw
        if kept and (number in starts or sum(map(len, kept)) > _LONGEST):
            yield kept[0]
            kept = []
        starts_here = number in starts or not (header or line.isspace())
        if kept or starts_here:
            header = True
            kept.append(line)
        if kept and sum(part.count(b'"') for part in kept) % 2 == 0:
            yield b"".join(kept)
            kept = []
    if kept:
        yield kept[0]
