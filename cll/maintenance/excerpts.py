"""Some records of a published file, taken out as they stand there, for a person to mend."""

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from cll.pipeline.ingest.readers.formats import format_of

_PACKED = {".gz", ".zst"}
_LONGEST = 2**20  # bytes of a record whose quotes may still close
_MARK = b"\xef\xbb\xbf"


def name_of(file: Path) -> Path:
    """Return the name of a file's excerpt, which is never packed.

    >>> name_of(Path("runs/a.csv.gz")).as_posix()
    'runs/a.csv'
    """
    return file.with_suffix("") if file.suffix.lower() in _PACKED else file


def excerpt(path: Path, rows: Sequence[int]) -> bytes:
    """Return the records that stand at `rows` (a line in CSV and JSONL, else a number, from 1).

    CSV comes with its header, JSON as an array; what is no longer there is left out.
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
    """Take rows by their numbers; Arrow reads them, since damage can end a process with Polars."""
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
    """Return what of a mended excerpt is no longer as it was; all of it where the header is not."""
    kind = format_of(name)
    if kind not in {".csv", ".jsonl", ".ndjson"}:
        return data
    after, before = list(_records(data)), list(_records(excerpt))
    header = after[:1] if kind == ".csv" else []
    if header and header != before[:1]:
        return _ended(data)  # a last line without a newline would be pending
    known = set(before)
    return b"".join([*header, *(one for one in after[len(header) :] if one not in known)])


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
    """Yield the text of each element of an array, or of what stands alone."""
    decoder, at = json.JSONDecoder(), 0
    at = _behind_blanks(text, at)
    if text[at] != "[":
        yield text.strip()
        return
    at = _behind_blanks(text, at + 1)
    while text[at] != "]":
        _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = _behind_blanks(text, end)
        at = _behind_blanks(text, at + 1) if text[at] == "," else at


def _behind_blanks(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _csv(lines: Iterator[tuple[int, bytes]], wanted: Sequence[int]) -> Iterator[bytes]:
    """Yield the header, and each record that starts on a line of `wanted`, with all of its lines."""
    starts, header = set(wanted), False
    kept: list[bytes] = []  # lines of a record whose quotes have not closed yet
    for number, raw in lines:
        line = raw.removeprefix(_MARK) if number == 1 else raw
        if kept and (number in starts or sum(map(len, kept)) > _LONGEST):
            yield kept[0]  # read line by line, since somewhere a quote was lost
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
