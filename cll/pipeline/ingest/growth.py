"""Compare a file with the log of its arrivals: new, grown, settled at its end, or rewritten."""

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

GONE = ""  # the digest of a file that was let go
_READ = 2**20  # bytes at once


@dataclass(frozen=True)
class Known:
    """What the log tells of a file that is as long as it is now."""

    settled: bool  # its last line counts as whole, also without a newline
    ends: tuple[int, ...]  # the earlier sizes


def chains(log: Iterable[Arrival]) -> dict[str, list[Arrival]]:
    """Return the arrivals of each file since it was last let go, the shortest first.

    That is their order in time, save where git put the logs of two branches together, or where a
    last record that had been taken went on in its line.
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
    """Return how long a file was when it was last seen, with what was pending then."""
    last = chain[-1]
    return max(last.total, *(one.total for one in chain if one.as_of > last.as_of), 0)


def known(path: Path, chain: Sequence[Arrival], as_of: datetime) -> Known:
    """Tell whether the last line settled before `as_of`, and at which sizes the file was seen.

    It did if an earlier `as_of` saw the same bytes pending, or if they were taken as whole before
    any saw them pending.
    """
    if not chain or not path.is_file():
        return Known(settled=False, ends=())
    size = path.stat().st_size
    if not lacks_newline(path):
        return Known(settled=False, ends=_sizes(chain, {size}))
    pending = [one for one in chain if one.tail and one.total == size and _has_tail(path, one)]
    first = min((one.as_of for one in pending), default=None)
    taken = (one.as_of for one in chain if one.size == size)
    settled = any(first is None or then <= first for then in taken)
    settled |= first is not None and first < as_of
    return Known(settled, _sizes(chain, {size} if settled else {size, *(p.size for p in pending)}))


def _sizes(chain: Sequence[Arrival], last: set[int]) -> tuple[int, ...]:
    # A file that did not grow needs no new look because it was seen: it is cut at its end anyhow.
    return tuple(sorted({entry.size for entry in chain} - last))


def _has_tail(path: Path, entry: Arrival) -> bool:
    with path.open("rb") as file:
        file.seek(entry.size)
        text = file.read(entry.total - entry.size)
    return entry.tail is not None and hashlib.sha256(text).hexdigest() == entry.tail.sha256


def news(chain: Sequence[Arrival], now: Arrival, looked: Survey) -> list[Arrival]:
    """Return what the log has to say of a file now and does not say yet; refuse a rewritten file.

    `looked.prefixes` are those of the chain's sizes. A last record that was taken and went on in
    its line since then is no rewritten file: what it says now is read instead.
    """
    if not chain:
        return [now]
    last, same = chain[-1], [one for one in chain if _size_and_digest(one) == _size_and_digest(now)]
    fresh = [] if same and now.tail in {None, *(one.tail for one in same)} else [now]
    if last in same:
        return fresh
    if now.total > last.size and looked.prefixes[-1] == last.sha256:
        return fresh
    later = next(one.as_of for one in chain if one.size > now.size) if same else now.as_of
    if now.as_of < later:
        return fresh
    how = "is shorter than what" if now.total < last.size else "is not what"
    raise DataRefused(
        f"{now.file}: was rewritten: it {how} was read at {format_instant(last.as_of)}. Restore it, "
        f"or take it as it is: cll ingest --accept {now.file}."
    )


def _size_and_digest(entry: Arrival) -> tuple[int, str]:
    return entry.size, entry.sha256


def is_as_read(looked: Survey, chain: Sequence[Arrival]) -> bool:
    """Tell whether a file has the bytes that were last read of it, its last line pending or not."""
    last = chain[-1]
    total = looked.size + (looked.tail.size if looked.tail else 0)
    if _size_and_digest(last) == (total, looked.content):
        return True
    same = _size_and_digest(last) == (looked.size, looked.sha256)
    return same and (looked.size > 0 or last.tail == looked.tail)


def arrived(file: str, looked: Survey, chain: Sequence[Arrival]) -> Arrived:
    """Date each part of a file by the first arrival that held all of it."""

    def since(cut: Cut) -> datetime:
        first = next(entry for entry in chain if entry.size >= cut.stop)
        # A record that was taken and went on in its line was seen with all before it.
        return min(one.as_of for one in chain if first.size <= one.size <= first.total)

    parts = (Part(c.start, c.stop, c.row, c.sha256, since(c)) for c in looked.cuts)
    return Arrived(file, looked.sha256, tuple(parts), looked.torn)


def digest(path: Path, size: int) -> str | None:
    """Return the digest of a file's first `size` bytes; None where it has fewer."""
    of_bytes, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left and (data := file.read(min(left, _READ))):
            of_bytes.update(data)
            left -= len(data)
    return None if left else of_bytes.hexdigest()
