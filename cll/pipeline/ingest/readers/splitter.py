"""Where a file can be cut, and what each stretch of it is: one pass, in bounded memory.

A stretch is known by its hash, so what was read of a file that grew is not read again. Cuts fall
where appending moves none of them: on the first record of a day, if within BLOCK of the cut before
lines lie in order of time, else on the first that starts at or behind BLOCK; and where the file
ended when it was seen before. In CSV quotes are counted, so that no cut falls inside of a quoted
field; behind a quote that is lost there may be no cut for long.
"""

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cll.pipeline.ingest.readers import day_breaks
from cll.pipeline.ingest.readers.formats import format_of, is_utf16
from cll.pipeline.ingest.readers.last_line import LINES, Last, unfinished
from cll.pipeline.ingest.readers.limits import Limits, count
from cll.types.records import Tail

BLOCK = 30 * 2**20  # what is larger than 32 MiB glibc maps anew, and clearing it outlasts reading
_LEAST = 8  # of a block, as a share, is worth a cut
_READ = 2**20  # bytes at once: they stay in the processor's cache while they are looked at


@dataclass(frozen=True)
class Cut:
    """A stretch of whole records."""

    start: int
    stop: int
    row: int  # the number of its first line, from 1
    sha256: str  # of its bytes


@dataclass(frozen=True)
class Survey:
    """The facts of a file that one pass finds."""

    size: int  # bytes that hold whole records
    sha256: str  # of these
    prefixes: tuple[str | None, ...]  # by end: of the first so many bytes; None: there are fewer
    cuts: tuple[Cut, ...]  # covering [0, size); an empty file has one that is empty
    content: str  # digest of all bytes
    tail: Tail | None = None  # behind `size`: a record that may still be growing

    @property
    def torn(self) -> bool:
        """Whether the last record is pending."""
        return self.tail is not None


def survey(path: Path, ends: Sequence[int], limits: Limits, *, settled: bool = False) -> Survey:
    """Hash and cut a file; `ends` are the sizes that it was seen at before.

    A cut falls on each end; on one that is inside of a record, before the record, since the rest of
    it came later. A file that is read as a whole (packed, JSON, Parquet, UTF-16, or over the limit)
    is one cut. A last line without its newline is left out, unless it is a JSON object, or reads as
    a record and is `settled`.
    """
    with path.open("rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        kind = _kind(path, file, total, limits)
        scan = _scanned(file, kind, ends, total)
        last = Last(scan.mark, scan.at, scan.inside, limits.line_length)
        line = None if kind is None else unfinished(path, kind, last)
        prefixes = {0: hashlib.sha256().hexdigest(), **scan.prefixes}
        at_ends, content = tuple(prefixes.get(end) for end in ends), scan.whole.hexdigest()
        if line is None or (settled and line.readable):
            return Survey(scan.at, content, at_ends, scan.all_cuts(torn=False), content)
        tail = Tail(len(line.text), hashlib.sha256(line.text).hexdigest())
        at_mark = line.start == scan.mark
        if not at_mark:  # but at the top, or at a line behind a lost quote
            scan = _scanned(file, kind, ends, line.start)
    known = scan.whole_at_mark if at_mark else scan.whole
    cuts = scan.all_cuts(torn=at_mark) if line.start else ()
    return Survey(line.start, known.hexdigest(), at_ends, cuts, content, tail)


def _kind(path: Path, file: io.FileIO, total: int, limits: Limits) -> str | None:
    """Return a file's format if its records are told apart by lines."""
    whole = total > limits.file_size or is_utf16(os.pread(file.fileno(), 4, 0))
    return None if whole or path.suffix.lower() not in LINES else format_of(path.name)


def _scanned(file: io.FileIO, kind: str | None, ends: Sequence[int], total: int) -> "_Scan":
    file.seek(0)
    inner = tuple(sorted({end for end in ends if 0 < end <= total}))
    with ThreadPoolExecutor(1) as aside:
        scan = _Scan(file, kind, inner, total, aside)
        buffer = bytearray(_READ)  # one for all: memory that is fresh has to be cleared first
        while scan.at < total and (size := file.readinto(buffer)):
            scan.feed(buffer, min(size, total - scan.at))
    return scan


@dataclass
class _Scan:
    """How far the pass has come; the mark is the start of the last record that was seen."""

    file: io.FileIO
    kind: str | None  # None: records aren't told apart
    ends: tuple[int, ...]
    total: int
    aside: Executor
    at: int = 0
    row: int = 1
    mark: int = 0
    mark_row: int = 1
    start: int = 0  # of the cut that is open
    start_row: int = 1
    inside: bool = False  # of quotes
    due: bool = False  # a cut falls on the next record's start
    cuts: list[Cut] = field(default_factory=list)
    prefixes: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.target = self._target()
        self.whole, self.cut = hashlib.sha256(), hashlib.sha256()
        self._set_mark()

    def feed(self, data: bytearray, size: int) -> None:
        """Take the next bytes, stopping where a cut may fall."""
        base, until = self.at, self.at + size
        while self.at < until:
            stop = min(s for s in (self.target, *self.ends, until) if s > self.at)
            first, last = self._starts(data, self.at - base, stop - base)
            if self.due and first:
                stop, last = base + first, first
            if base + last > self.at:
                self._eat(data, self.at - base, last)
                self._set_mark()
            rest = self.at - base
            self._eat(data, rest, stop - base)
            if self.kind is not None:  # else there is one cut, and this is of no use
                self.behind.update(memoryview(data)[rest : stop - base])
            self._stopped()

    def all_cuts(self, *, torn: bool) -> tuple[Cut, ...]:
        if torn:
            stop, known = self.mark, self.cut_at_mark if self.start else self.whole_at_mark
        else:
            stop, known = self.at, self.cut if self.start else self.whole
        if stop > self.start or (stop == 0 and not torn):
            return (*self.cuts, Cut(self.start, stop, self.start_row, known.hexdigest()))
        return tuple(self.cuts)

    def _starts(self, data: bytearray, low: int, high: int) -> tuple[int, int]:
        """Return where the first and the last record behind a newline start; 0: none does."""
        if self.kind != ".csv" or data.find(b'"', low, high) < 0:
            if self.inside or self.kind is None:
                return 0, 0
            return data.find(b"\n", low, high) + 1, data.rfind(b"\n", low, high) + 1
        part = np.frombuffer(data, dtype=np.uint8)[low:high]
        newlines = np.flatnonzero(part == ord("\n"))
        quotes = np.searchsorted(np.flatnonzero(part == ord('"')), newlines)
        outer = newlines[(quotes + self.inside) % 2 == 0] + low + 1
        return (int(outer[0]), int(outer[-1])) if len(outer) else (0, 0)

    def _eat(self, data: bytearray, low: int, high: int) -> None:
        piece = memoryview(data)[low:high]
        if self.start:  # else it is the whole
            hashed = self.aside.submit(self.whole.update, piece)
            self.cut.update(piece)
            hashed.result()
        else:
            self.whole.update(piece)
        if self.kind is not None:
            self.row += count(piece, ord("\n"))
        if self.kind == ".csv":
            # Finding none takes a thirtieth of counting none.
            quotes = data.count(b'"', low, high) if data.find(b'"', low, high) >= 0 else 0
            self.inside ^= quotes % 2 == 1
        self.at += high - low

    def _set_mark(self) -> None:
        self.mark, self.mark_row = self.at, self.row
        self.whole_at_mark, self.cut_at_mark = self.whole.copy(), self.cut.copy()
        self.behind = hashlib.sha256()

    def _stopped(self) -> None:
        if self.at in self.ends:
            self.prefixes[self.at] = self.whole.hexdigest()
            ahead = os.pread(self.file.fileno(), 2, self.at)
            # A record without its newline is whole: the next stretch then begins with a blank line.
            if not self.inside and self.kind and ahead.removeprefix(b"\r")[:1] == b"\n":
                self._set_mark()
            if self.at < self.total:
                self._close()
        self.due |= self.at >= self.target
        if self.due and self.mark == self.at:
            self._close()

    def _target(self) -> int:
        """Say where the open cut is to end: the next record behind it opens another.

        It follows from what was there when the file was first seen beyond the cut's start.
        """
        stop = self.start + BLOCK
        seen = min((end for end in self.ends if end > self.start), default=self.total)
        if self.kind is None or not day_breaks.is_whole(self.file.fileno(), stop, seen):
            return stop
        found = day_breaks.turn(self.file.fileno(), self.start, stop) or stop
        return found if found - self.start >= BLOCK // _LEAST else stop

    def _close(self) -> None:
        """End the open cut at the mark; what stands behind it opens the next."""
        if self.mark > self.start:
            known = self.cut_at_mark if self.start else self.whole_at_mark
            self.cuts.append(Cut(self.start, self.mark, self.start_row, known.hexdigest()))
            self.start, self.start_row = self.mark, self.mark_row
            self.cut, self.cut_at_mark = self.behind.copy(), hashlib.sha256()
            self.target, self.due = self._target(), False
