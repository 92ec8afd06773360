"""The last line of a text file, where it has no newline: a whole record, or one still being written.

A value that lost its end still reads as a value (0.309 as 0.30), so a record of CSV is not believed
without its newline. A JSON object is: nothing but blanks can follow it in its line.
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

    start: int  # 0 for the header, since nothing of the file can be read without that
    text: bytes
    readable: bool  # as a record, such as it is


@dataclass(frozen=True)
class Last:
    """The end of a file, from the end of the last record that has its newline."""

    start: int
    stop: int
    inside: bool  # of quotes that do not close
    longest: int  # bytes of a line; what is longer is refused and not waited for

    def read(self, path: Path) -> tuple[int, bytes]:
        """Return where the last record starts, and its bytes; no bytes where it is too long.

        A quote that does not close in its own line is lost rather than open, so that the last
        record is the last line.
        """
        start = max(self.start, self.stop - self.longest - 1)
        with path.open("rb") as file:
            text = os.pread(file.fileno(), self.stop - start, start)
        if self.inside and (newline := text.rfind(b"\n") + 1):
            start, text = start + newline, text[newline:]
        return (start, text) if len(text) <= self.longest else (start, b"")


def lacks_newline(path: Path) -> bool:
    """Tell whether a text file's last line has no newline."""
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
    if start > last.start:  # behind a lost quote
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
