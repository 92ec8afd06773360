"""Split a file into parts of whole records and hash each, in one pass and bounded memory.

A part is identified by its hash, so that after a file has grown its old parts are not read again. A
part always ends where the file ended when it was seen before. Between such places a part ends where
a day begins, if the lines of the block are in order of time, else at the first record that starts
BLOCK bytes or more after its start. So appending to a file changes no earlier part. In CSV,
quotes are counted, so that no part ends inside a quoted field; a stray quote can make a part long.
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

BLOCK = 30 * 2**20  # glibc maps and clears each buffer over 32 MiB anew, which is slow
_LEAST = 8  # a cut at a day needs at least 1/8 of a block before it
_READ = 2**20  # bytes of one read, which fit in the processor's cache


@dataclass(frozen=True)
class Cut:
    """A part of a file, made of whole records."""

    start: int
    stop: int
    row: int  # number of the part's first line, from 1
    sha256: str  # digest of the part's bytes


@dataclass(frozen=True)
class Survey:
    """The result of one pass over a file."""

    size: int  # bytes that hold whole records
    sha256: str  # digest of these bytes
    prefixes: tuple[str | None, ...]  # digest up to each end; None: the file is shorter
    cuts: tuple[Cut, ...]  # cover [0, size); an empty file has one empty cut
    content: str  # digest of all bytes
    tail: Tail | None = None  # after `size`: a record that may still be growing

    @property
    def torn(self) -> bool:
        """Whether the last record is pending."""
        return self.tail is not None


def survey(path: Path, ends: Sequence[int], limits: Limits, *, settled: bool = False) -> Survey:
    """Hash and cut a file; `ends` are its sizes when it was seen before.

    A cut falls on each end. If an end lies inside a record, the cut is before that record, since the
    rest of it came later. A file that is read as a whole (compressed, JSON, Parquet, UTF-16, or over
    the limit) is one cut. A last line without a newline is left out, unless it is a JSON object, or
    it is `settled` (counts as complete) and parses as a record.
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
        if not at_mark:  # the last record is the header, or a line after a stray quote
            scan = _scanned(file, kind, ends, line.start)
    digest = scan.whole_at_mark if at_mark else scan.whole
    cuts = scan.all_cuts(torn=at_mark) if line.start else ()
    return Survey(line.start, digest.hexdigest(), at_ends, cuts, content, tail)


def _kind(path: Path, file: io.FileIO, total: int, limits: Limits) -> str | None:
    """Return a file's format if newlines separate its records, else None."""
    whole = total > limits.file_size or is_utf16(os.pread(file.fileno(), 4, 0))
    return None if whole or path.suffix.lower() not in LINES else format_of(path.name)


def _scanned(file: io.FileIO, kind: str | None, ends: Sequence[int], total: int) -> "_Scan":
    file.seek(0)
    inner = tuple(sorted({end for end in ends if 0 < end <= total}))
    with ThreadPoolExecutor(1) as aside:
        scan = _Scan(file, kind, inner, total, aside)
        buffer = bytearray(_READ)  # reused, since fresh memory has to be cleared first
        while scan.at < total and (size := file.readinto(buffer)):
            scan.feed(buffer, min(size, total - scan.at))
    return scan


@dataclass
class _Scan:
    """The state of the pass; `mark` is the start of the last record seen so far."""

    file: io.FileIO
    kind: str | None  # None: the file is one cut
    ends: tuple[int, ...]
    total: int
    aside: Executor
    at: int = 0
    row: int = 1
    mark: int = 0
    mark_row: int = 1
    start: int = 0  # start of the current cut
    start_row: int = 1
    inside: bool = False  # whether a quoted field is open
    due: bool = False  # whether the next record starts a new cut
    cuts: list[Cut] = field(default_factory=list)
    prefixes: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.target = self._target()
        self.whole, self.cut = hashlib.sha256(), hashlib.sha256()
        self._set_mark()

    def feed(self, data: bytearray, size: int) -> None:
        """Process the next bytes, stopping where a cut may fall."""
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
            if self.kind is not None:  # else there is only one cut
                self.behind.update(memoryview(data)[rest : stop - base])
            self._stopped()

    def all_cuts(self, *, torn: bool) -> tuple[Cut, ...]:
        """Return all cuts; the last one ends at the mark if the last record is pending."""
        if torn:
            stop, digest = self.mark, self.cut_at_mark if self.start else self.whole_at_mark
        else:
            stop, digest = self.at, self.cut if self.start else self.whole
        if stop > self.start or (stop == 0 and not torn):
            return (*self.cuts, Cut(self.start, stop, self.start_row, digest.hexdigest()))
        return tuple(self.cuts)

    def _starts(self, data: bytearray, low: int, high: int) -> tuple[int, int]:
        """Return the offsets just after the first and the last newline that end a record; 0: none.

        A newline inside quotes ends no record.
        """
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
        if self.start:  # else both digests are equal
            hashed = self.aside.submit(self.whole.update, piece)
            self.cut.update(piece)
            hashed.result()
        else:
            self.whole.update(piece)
        if self.kind is not None:
            self.row += count(piece, ord("\n"))
        if self.kind == ".csv":
            # `find` of an absent byte takes a thirtieth of the time of `count`.
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
            # A last record without its newline was complete: the next part begins with the newline.
            if not self.inside and self.kind and ahead.removeprefix(b"\r")[:1] == b"\n":
                self._set_mark()
            if self.at < self.total:
                self._close()
        self.due |= self.at >= self.target
        if self.due and self.mark == self.at:
            self._close()

    def _target(self) -> int:
        """Return where the current cut is to end; the next record after it starts a new one.

        It depends only on bytes that existed when the file first reached beyond the cut's start.
        """
        stop = self.start + BLOCK
        first_size = min((end for end in self.ends if end > self.start), default=self.total)
        if self.kind is None or not day_breaks.is_whole(self.file.fileno(), stop, first_size):
            return stop
        day_start = day_breaks.last_day_start(self.file.fileno(), self.start, stop) or stop
        return day_start if day_start - self.start >= BLOCK // _LEAST else stop

    def _close(self) -> None:
        """End the current cut at the mark; the bytes after the mark start the next."""
        if self.mark > self.start:
            digest = self.cut_at_mark if self.start else self.whole_at_mark
            self.cuts.append(Cut(self.start, self.mark, self.start_row, digest.hexdigest()))
            self.start, self.start_row = self.mark, self.mark_row
            self.cut, self.cut_at_mark = self.behind.copy(), hashlib.sha256()
            self.target, self.due = self._target(), False
