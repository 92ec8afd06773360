"""Decide whether a last line without a newline is a whole record or is still being written.

A truncated value still parses (0.309 as 0.30), so a CSV record is incomplete without its newline.
A JSON object is complete: only blanks can follow it on its line.
"""

import codecs
import csv
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path

from cll.pipeline.ingest.readers import csv_text

LINES = frozenset({".jsonl", ".ndjson", ".csv"})  # formats whose records end in newlines
_BLANKS = b" \t\r\n"


@dataclass(frozen=True)
class Unfinished:
    """A last line that may still be growing."""

    start: int  # offset in bytes; 0 for the header, since without it no record can be read
    text: bytes
    readable: bool  # whether the line parses as a record in its present form


@dataclass(frozen=True)
class Last:
    """The end of a file, after the last record that has its newline."""

    start: int
    stop: int
    inside: bool  # whether the text ends inside a quoted field
    longest: int  # most bytes of a line; a longer line is refused, and never pending

    def read(self, path: Path) -> tuple[int, bytes]:
        """Return where the last record starts, and its bytes; no bytes if it is too long.

        A quote that does not close on its line counts as stray, so the last record is the last line.
        """
        start = max(self.start, self.stop - self.longest - 1)
        with path.open("rb") as file:
            text = os.pread(file.fileno(), self.stop - start, start)
        if self.inside and (newline := text.rfind(b"\n") + 1):
            start, text = start + newline, text[newline:]
        return (start, text) if len(text) <= self.longest else (start, b"")


def lacks_newline(path: Path) -> bool:
    """Return whether a text file's last line has no newline."""
    size = path.stat().st_size
    if size == 0 or path.suffix.lower() not in LINES:
        return False
    with path.open("rb") as file:
        return os.pread(file.fileno(), 1, size - 1) != b"\n"


def unfinished(path: Path, kind: str, last: Last) -> Unfinished | None:
    """Return the last line of CSV or JSON Lines if it is not known to be whole."""
    if last.start == last.stop:
        return None
    start, text = last.read(path)
    if text.endswith(b"\n") or not text.strip(b"\r" if kind == ".csv" else _BLANKS):
        return None
    if kind == ".csv":
        return _csv(path, last, start, text)
    return _json(start, text.removeprefix(codecs.BOM_UTF8) if start == 0 else text)


def _csv(path: Path, last: Last, start: int, text: bytes) -> Unfinished | None:
    if start > last.start:  # after a stray quote
        return Unfinished(start, text, readable=True)
    top = csv_text.top(path, last.longest)
    if start < len(top):
        if b"\r" in top.rstrip(b"\r\n"):
            return None  # its lines end in CR alone, which is refused
        with path.open("rb") as file:
            return Unfinished(0, file.read(last.stop), readable=True)
    return Unfinished(start, text, not last.inside and _fields(text) >= _fields(top))


def _json(start: int, text: bytes) -> Unfinished | None:
    try:
        value = json.loads(text)
    except ValueError:
        return Unfinished(start, text, readable=False)
    except RecursionError:
        return None
    return None if isinstance(value, dict) else Unfinished(start, text, readable=True)


def _fields(line: bytes) -> int:
    text = io.StringIO(line.strip(b"\r\n").decode(errors="replace"), newline="")
    try:
        return len(next(csv.reader(text), ()))
    except csv.Error:
        return line.count(b",") + 1
