"""What of a source's files is new, grown, gone or rewritten, by content, against the log in git.

The log says at which `as_of` a file's first bytes were first seen. It is only ever appended to, so
every machine that rebuilds agrees on what was known when.
"""

import hashlib
import itertools
import json
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from cll import progress, store
from cll.errors import Busy, ConfigError, DataRefused, Unavailable
from cll.memo import Memo, stamp
from cll.reading.limits import Limits
from cll.reading.survey import Cut, Survey, survey
from cll.roles import Source
from cll.values import Arrival, Arrived, Part, format_instant, parse_instant
from cll.workspace import Workspace, memo

LOG = Path("registry") / "arrivals.jsonl"
_FORM = {"form": "arrivals", "version": 1}
_READ = 2**20  # bytes at once
_GONE = ""  # the digest of a file that was let go


@dataclass(frozen=True)
class Seen:
    """The source's files as they are, and the log with what is new of them."""

    files: list[Arrived]
    log: list[Arrival]
    stamps: dict[str, list[int]]

    def refuse_changed(self) -> None:
        """Raise Busy where a file is no longer what was looked at; one may well have grown."""
        for file in self.files:
            size = max((part.stop for part in file.parts), default=0)
            if stamp(Path(file.file)) == self.stamps[file.file]:
                continue
            if _digest(Path(file.file), size) != file.sha256:
                raise Busy(f"{file.file}: changed while it was read; run again.")


def see(ws: Workspace, source: Source, as_of: datetime) -> Seen:
    """Look at each file that the source reads.

    Raises DataRefused for a file that was seen before, and now is another, shorter, or not there.
    """
    log, remembered = read(ws.root / LOG), memo(ws)
    chains = _chains(log)
    reads = source.reads
    stamps = {path.as_posix(): stamp(path) for path in reads}

    def look(path: Path) -> Survey:
        return _survey(path, chains.get(path.as_posix(), ()), remembered, source)

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        looked_at = progress.track(pool.map(look, reads), "look", total=len(reads))
        there = dict(zip((path.as_posix() for path in reads), looked_at, strict=True))
    for old, new in _moved(there, chains).items():
        chains[new] = [replace(one, file=new) for one in chains.pop(old)]
        log += [Arrival(old, _GONE, as_of, 0), *chains[new]]
        there[new] = _survey(Path(new), chains[new], remembered, source)
    _refuse_vanished(source, {*there}, chains, as_of)
    found = []
    for file, looked in there.items():
        before = chains.get(file, [])
        now = Arrival(file, looked.sha256, as_of, looked.size)
        chain = _continued(before, now, looked)
        log += chain[len(before) :]
        found.append(_arrived(file, looked, chain))
    remembered.save()
    return Seen(found, log, stamps)


def _survey(path: Path, chain: Sequence[Arrival], remembered: Memo, source: Source) -> Survey:
    limits, ends = getattr(source, "limits", Limits()), [one.size for one in chain]
    # A file that did not grow needs no new look because it was seen: it is cut at its end anyhow.
    at_end = bool(ends) and path.is_file() and path.stat().st_size == ends[-1]
    ends = ends[:-1] if at_end else ends

    def look() -> dict[str, Any]:
        return asdict(survey(path, ends, limits))

    try:
        told = remembered.of(path, "survey", look, given=[ends, asdict(limits)])
    except OSError as why:
        raise Unavailable(f"{path}: {why.strerror}; see to it.") from None
    cuts = tuple(Cut(**cut) for cut in told["cuts"])
    prefixes = [*told["prefixes"], *([None if told["torn"] else told["sha256"]] * at_end)]
    return Survey(told["size"], told["sha256"], tuple(prefixes), cuts, told["torn"])


def _continued(chain: list[Arrival], now: Arrival, looked: Survey) -> list[Arrival]:
    """Return what was seen of a file, with what is new of it."""
    if not chain:
        return [now]
    last = chain[-1]
    if (now.size, now.sha256) == (last.size, last.sha256):
        return chain
    if now.size > last.size and looked.prefixes[len(chain) - 1] == last.sha256:
        return [*chain, now]
    for earlier, later in itertools.pairwise(chain):
        if (now.size, now.sha256) == (earlier.size, earlier.sha256) and now.as_of < later.as_of:
            return chain[: chain.index(earlier) + 1]
    how = "is shorter than" if now.size < last.size else "is not what"
    raise DataRefused(
        f"{now.file}: was rewritten: it {how} {'' if how.startswith('is not') else 'what '}was read "
        f"at {format_instant(last.as_of)}. Restore it, or take it as it is: "
        f"cll ingest --accept {now.file}."
    )


def _moved(there: Mapping[str, Survey], chains: Mapping[str, list[Arrival]]) -> dict[str, str]:
    """Find files that have gone and whose content lies under a new name: they arrived before."""
    moved: dict[str, str] = {}
    for new, looked in there.items():
        for old, chain in chains.items() if looked.size and new not in chains else ():
            same = (chain[-1].size, chain[-1].sha256) == (looked.size, looked.sha256)
            if same and old not in moved and not Path(old).exists():
                moved[old] = new
                break
    return moved


def _refuse_vanished(
    source: Source, reads: Container[str], chains: dict[str, list[Arrival]], as_of: datetime
) -> None:
    fits = getattr(source, "fits", None)
    for file, chain in chains.items():
        if fits is None or file in reads or chain[0].as_of > as_of or not fits(file):
            continue
        raise DataRefused(
            f"{file}: has vanished: it was read at {format_instant(chain[-1].as_of)}. Restore it, "
            f"or let its records go: cll ingest --accept {file}."
        )


def _arrived(file: str, looked: Survey, chain: Sequence[Arrival]) -> Arrived:
    def since(cut: Cut) -> datetime:
        return next(one.as_of for one in chain if one.size >= cut.stop)

    parts = (Part(c.start, c.stop, c.row, c.sha256, since(c)) for c in looked.cuts)
    return Arrived(file, looked.sha256, tuple(parts), looked.torn)


def _digest(path: Path, size: int) -> str | None:
    """Return the digest of a file's first `size` bytes; None where it has fewer."""
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left and (data := file.read(min(left, _READ))):
            digest.update(data)
            left -= len(data)
    return None if left else digest.hexdigest()


def as_new(paths: Iterable[Path], as_of: datetime, limits: Limits) -> list[Arrived]:
    """Take files as if they had just arrived, for those who keep no log."""
    found = []
    for path in paths:
        looked = survey(path, (), limits)
        now = Arrival(path.as_posix(), looked.sha256, as_of, looked.size)
        found.append(_arrived(now.file, looked, [now]))
    return found


def accept(ws: Workspace, source: Source, files: Sequence[str], as_of: datetime) -> list[str]:
    """Take files as they are now, rewritten or gone; return what was said of each."""
    log, told = read(ws.root / LOG), []
    chains = _chains(log)
    reads = {path.as_posix() for path in source.reads}
    for given in files:
        file = given if given in chains else os.path.relpath(given)
        if file not in chains:
            raise ConfigError(
                f"{file}: not a file that was read before; there is nothing to accept."
            )
        if file in reads:
            looked = survey(Path(file), (), getattr(source, "limits", Limits()))
            if (looked.size, looked.sha256) == (chains[file][-1].size, chains[file][-1].sha256):
                raise ConfigError(f"{file}: is as it was read; there is nothing to accept.")
            log += [
                Arrival(file, _GONE, as_of, 0),
                Arrival(file, looked.sha256, as_of, looked.size),
            ]
            told.append(f"{file}: taken as it is now, known from {format_instant(as_of)} on.")
        else:
            log.append(Arrival(file, _GONE, as_of, 0))
            told.append(f"{file}: let go; its records will be missing.")
    write(ws.root / LOG, log)
    return told


def _chains(log: Iterable[Arrival]) -> dict[str, list[Arrival]]:
    """Return what was seen of each file since it was last let go, the shortest first.

    That is the order in which it was seen, save where git put the logs of two branches together.
    """
    chains: dict[str, list[Arrival]] = {}
    for one in log:
        if one.sha256 == _GONE:
            chains.pop(one.file, None)
        else:
            chains.setdefault(one.file, []).append(one)
    return {file: sorted(chain, key=lambda one: one.size) for file, chain in chains.items()}


def is_kept(ws: Workspace) -> bool:
    """Tell whether the project has a log of arrivals yet."""
    return (ws.root / LOG).is_file()


def read(path: Path) -> list[Arrival]:
    """Read the log: a first line that names its form, then one JSON object an arrival."""
    if not path.is_file():
        return []
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry = json.loads(line)
            if entry != _FORM:
                entries.append(_entry(entry))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataRefused(
                f"{path}:{number}: not an arrival ({error}); restore the file from git."
            ) from None
    return entries


def _entry(told: dict[str, Any]) -> Arrival:
    if told.pop("check") != _check(told):
        raise ValueError("its checksum is another")
    return Arrival(told["file"], told["sha256"], parse_instant(told["as_of"]), told["bytes"])


def write(path: Path, entries: Iterable[Arrival]) -> None:
    """Write the log."""
    told = [
        {"as_of": format_instant(e.as_of), "bytes": e.size, "file": e.file, "sha256": e.sha256}
        for e in entries
    ]
    checked = [{**entry, "check": _check(entry)} for entry in told]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in (_FORM, *checked)]
    store.write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def _check(entry: Mapping[str, Any]) -> str:
    return store.digest(entry)[:16]
