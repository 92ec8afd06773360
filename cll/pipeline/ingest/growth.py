"""Compare a file with its entries in the arrival log: new, grown, complete or rewritten."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cll.pipeline.ingest.readers.last_line import lacks_newline
from cll.pipeline.ingest.readers.splitter import Cut, Survey
from cll.types.errors import DataRefused
from cll.types.records import Arrival, Arrived, Part
from cll.types.times import format_instant

GONE = ""  # the digest in the entry of a file that the user dropped
_READ = 2**20  # bytes that are read at once


@dataclass(frozen=True)
class FileHistory:
    """The facts that the log has about a file of its present length."""

    settled: bool  # its last line counts as complete even without a newline
    ends: tuple[int, ...]  # the earlier sizes


def chains(log: Iterable[Arrival]) -> dict[str, list[Arrival]]:
    """Return the arrivals of each file since it was last dropped, sorted by size.

    That is usually their order in time. It differs after git merged the logs of two branches, and
    where a last line was read as complete and then continued.
    """
    by_file: dict[str, list[Arrival]] = {}
    for entry in log:
        if entry.sha256 == GONE:
            by_file.pop(entry.file, None)
        else:
            by_file.setdefault(entry.file, []).append(entry)
    return {file: ordered(chain) for file, chain in by_file.items()}


def ordered(chain: Iterable[Arrival]) -> list[Arrival]:
    """Sort arrivals of one file by size, and those of one size by time."""
    return sorted(chain, key=lambda entry: (entry.size, entry.as_of))


def length(chain: Sequence[Arrival]) -> int:
    """Return the length of a file when it was last seen, with its pending last line."""
    last = chain[-1]
    return max(last.total, *(entry.total for entry in chain if entry.as_of > last.as_of), 0)


def history(path: Path, chain: Sequence[Arrival], as_of: datetime) -> FileHistory:
    """Return whether the last line counts as complete, and the earlier sizes of the file.

    A last line without a newline is complete if an earlier `as_of` saw the same bytes pending, or
    if it was read as complete before it was ever pending.
    """
    if not chain or not path.is_file():
        return FileHistory(settled=False, ends=())
    size = path.stat().st_size
    if not lacks_newline(path):
        return FileHistory(settled=False, ends=_sizes(chain, {size}))
    pending = [
        entry for entry in chain if entry.tail and entry.total == size and _has_tail(path, entry)
    ]
    first = min((entry.as_of for entry in pending), default=None)
    taken = (entry.as_of for entry in chain if entry.size == size)
    settled = any(first is None or then <= first for then in taken)
    settled |= first is not None and first < as_of
    present = {size} if settled else {size, *(entry.size for entry in pending)}
    return FileHistory(settled, _sizes(chain, present))


def _sizes(chain: Sequence[Arrival], last: set[int]) -> tuple[int, ...]:
    # The present size is left out: the file is cut at its end in any case.
    return tuple(sorted({entry.size for entry in chain} - last))


def _has_tail(path: Path, entry: Arrival) -> bool:
    with path.open("rb") as file:
        file.seek(entry.size)
        text = file.read(entry.total - entry.size)
    return entry.tail is not None and hashlib.sha256(text).hexdigest() == entry.tail.sha256


def new_arrivals(chain: Sequence[Arrival], now: Arrival, surveyed: Survey) -> list[Arrival]:
    """Return the entry to append to the log for a file, if any; refuse a rewritten file.

    `chain` are the logged arrivals, `surveyed.prefixes` the digests at their sizes. A file whose
    last line was read as complete and has grown since is not rewritten: the new line replaces it.
    """
    if not chain:
        return [now]
    last = chain[-1]
    same = [entry for entry in chain if _size_and_digest(entry) == _size_and_digest(now)]
    fresh = [] if same and now.tail in {None, *(entry.tail for entry in same)} else [now]
    if last in same:
        return fresh
    if now.total > last.size and surveyed.prefixes[-1] == last.sha256:
        return fresh
    later = next(entry.as_of for entry in chain if entry.size > now.size) if same else now.as_of
    if now.as_of < later:
        return fresh
    how = "is shorter than what" if now.total < last.size else "is not what"
    raise DataRefused(
        f"{now.file}: was rewritten: it {how} was read at {format_instant(last.as_of)}. Restore it, "
        f"or take it as it is: cll ingest --accept {now.file}."
    )


def _size_and_digest(entry: Arrival) -> tuple[int, str]:
    return entry.size, entry.sha256


def is_as_read(surveyed: Survey, chain: Sequence[Arrival]) -> bool:
    """Return whether a file has the bytes that were last read, its last line pending or not."""
    last = chain[-1]
    total = surveyed.size + (surveyed.tail.size if surveyed.tail else 0)
    if _size_and_digest(last) == (total, surveyed.content):
        return True
    same = _size_and_digest(last) == (surveyed.size, surveyed.sha256)
    return same and (surveyed.size > 0 or last.tail == surveyed.tail)


def arrived(file: str, surveyed: Survey, chain: Sequence[Arrival]) -> Arrived:
    """Give each part of a file the first `as_of` at which all of it had been seen."""

    def since(cut: Cut) -> datetime:
        first = next(entry for entry in chain if entry.size >= cut.stop)
        # A last line that was read and then continued counts from its first arrival.
        return min(entry.as_of for entry in chain if first.size <= entry.size <= first.total)

    parts = (Part(c.start, c.stop, c.row, c.sha256, since(c)) for c in surveyed.cuts)
    return Arrived(file, surveyed.sha256, tuple(parts), surveyed.torn)


def digest(path: Path, size: int) -> str | None:
    """Return the digest of a file's first `size` bytes; None where it has fewer."""
    of_bytes, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left and (data := file.read(min(left, _READ))):
            of_bytes.update(data)
            left -= len(data)
    return None if left else of_bytes.hexdigest()
