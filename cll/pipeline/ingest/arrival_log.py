"""What of a source's files is new, grown, gone or rewritten, by content, against the log in git.

The log says at which `as_of` a file's first bytes were first seen, and which bytes behind them were
pending then. It is only ever appended to, so every machine that rebuilds agrees on what was known
when.
"""

import json
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from cll.pipeline.ingest import growth
from cll.pipeline.ingest.readers.limits import Limits
from cll.pipeline.ingest.readers.splitter import Cut, Survey, survey
from cll.system import disk, progress
from cll.system.stat_cache import StatCache, open_stat_cache, stamp
from cll.system.workspace import Workspace
from cll.types.components import Source
from cll.types.errors import Busy, ConfigError, DataRefused, Unavailable
from cll.types.records import Arrival, Arrived, Tail
from cll.types.times import format_instant, parse_instant

LOG = Path("registry") / "arrivals.jsonl"
_FORM = {"form": "arrivals", "version": 1}


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
            if growth.digest(Path(file.file), size) != file.sha256:
                raise Busy(f"{file.file}: changed while it was read; run again.")


def see(ws: Workspace, source: Source, as_of: datetime) -> Seen:
    """Look at each file that the source reads.

    Raises DataRefused for a file that was seen before, and now is another, shorter, or not there.
    """
    log, remembered = read(ws.root / LOG), open_stat_cache(ws)
    chains = growth.chains(log)
    reads = source.reads
    stamps = {path.as_posix(): stamp(path) for path in reads}

    def look(path: Path) -> Survey:
        return _survey(path, chains.get(path.as_posix(), ()), remembered, source, as_of)

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        looked_at = progress.track(pool.map(look, reads), "look", total=len(reads))
        surveys = dict(zip((path.as_posix() for path in reads), looked_at, strict=True))
    for old, new in _moved(surveys, chains).items():
        chains[new] = [replace(entry, file=new) for entry in chains.pop(old)]
        log += [Arrival(old, growth.GONE, as_of, 0), *chains[new]]
        surveys[new] = look(Path(new))
    _refuse_vanished(source, {*surveys}, chains, as_of)
    files = []
    for file, looked in surveys.items():
        chain = chains.get(file, [])
        news = growth.news(chain, _arrival(file, looked, as_of), looked)
        log += news
        files.append(growth.arrived(file, looked, growth.ordered([*chain, *news])))
    remembered.save()
    return Seen(files, log, stamps)


def _survey(
    path: Path, chain: Sequence[Arrival], remembered: StatCache, source: Source, as_of: datetime
) -> Survey:
    limits = getattr(source, "limits", Limits())
    known = growth.known(path, chain, as_of)
    settled = known.settled or _reads_last_lines(source)

    def look() -> dict[str, Any]:
        return asdict(survey(path, known.ends, limits, settled=settled))

    try:
        given = [known.ends, asdict(limits), settled]
        facts = remembered.get(path, "survey", look, given=json.loads(json.dumps(given)))
    except OSError as why:
        raise Unavailable(f"{path}: {why.strerror}; check the disk and the permissions.") from None
    tail = Tail(**facts["tail"]) if facts["tail"] else None
    digests = dict(zip(known.ends, facts["prefixes"], strict=True))
    digests |= {facts["size"]: facts["sha256"]}
    prefixes = tuple(digests.get(entry.size) for entry in chain)
    cuts = tuple(Cut(**cut) for cut in facts["cuts"])
    return Survey(facts["size"], facts["sha256"], prefixes, cuts, facts["content"], tail)


def _reads_last_lines(source: Source) -> bool:
    """Tell whether the source takes a last line as whole that has no newline."""
    return getattr(source, "last_line", "wait") == "read"


def _arrival(file: str, looked: Survey, as_of: datetime) -> Arrival:
    return Arrival(file, looked.sha256, as_of, looked.size, looked.tail)


def _moved(surveys: Mapping[str, Survey], chains: Mapping[str, list[Arrival]]) -> dict[str, str]:
    """Find files that have gone and whose content lies under a new name: they arrived before."""
    moved: dict[str, str] = {}
    for new, looked in surveys.items():
        is_new = (looked.size or looked.tail) and new not in chains
        for old, chain in chains.items() if is_new else ():
            same = growth.is_as_read(looked, chain)
            if same and old not in moved and not Path(old).exists():
                moved[old] = new
                break
    return moved


def _refuse_vanished(
    source: Source, reads: Container[str], chains: dict[str, list[Arrival]], as_of: datetime
) -> None:
    fits = getattr(source, "fits", None)
    for file, chain in chains.items():
        first = min(entry.as_of for entry in chain)
        if fits is None or file in reads or first > as_of or not fits(file):
            continue
        raise DataRefused(
            f"{file}: has vanished: it was read at {format_instant(chain[-1].as_of)}. Restore it, "
            f"or let its records go: cll ingest --accept {file}."
        )


def as_new(source: Source, as_of: datetime) -> list[Arrived]:
    """Take the source's files as if they had just arrived, for those who keep no log."""
    files, limits = [], getattr(source, "limits", Limits())
    for path in source.reads:
        looked = survey(path, (), limits, settled=_reads_last_lines(source))
        now = _arrival(path.as_posix(), looked, as_of)
        files.append(growth.arrived(now.file, looked, [now]))
    return files


def accept(ws: Workspace, source: Source, files: Sequence[str], as_of: datetime) -> list[str]:
    """Take files as they are now, rewritten or gone; return a line about each."""
    log, said = read(ws.root / LOG), []
    chains = growth.chains(log)
    reads = {path.as_posix() for path in source.reads}
    limits, settled = getattr(source, "limits", Limits()), _reads_last_lines(source)
    for given in files:
        file = given if given in chains else os.path.relpath(given)
        if file not in chains:
            raise ConfigError(
                f"{file}: not a file that was read before; there is nothing to accept."
            )
        log.append(Arrival(file, growth.GONE, as_of, 0))
        if file in reads:
            looked = survey(Path(file), (), limits, settled=settled)
            if growth.is_as_read(looked, chains[file]):
                raise ConfigError(f"{file}: is as it was read; there is nothing to accept.")
            log.append(_arrival(file, looked, as_of))
            said.append(f"{file}: taken as it is now, known from {format_instant(as_of)} on.")
        else:
            said.append(f"{file}: let go; its records will be missing.")
    write(ws.root / LOG, log)
    return said


def is_kept(ws: Workspace) -> bool:
    """Tell whether the project has a log of arrivals yet."""
    return (ws.root / LOG).is_file()


def read(path: Path) -> list[Arrival]:
    """Read the log: a first line that names its form, then one JSON object an arrival."""
    if not path.is_file():
        return []
    entries, lines = [], path.read_bytes().splitlines()
    if not lines:  # else each file would be taken for one that has just arrived
        raise DataRefused(f"{path}: empty; restore the file from git: `git checkout -- {LOG}`.")
    for number, line in enumerate(lines, 1):
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
    tail = Tail(told["pending"]["bytes"], told["pending"]["sha256"]) if "pending" in told else None
    as_of = parse_instant(told["as_of"])
    return Arrival(told["file"], told["sha256"], as_of, told["bytes"], tail)


def write(path: Path, entries: Iterable[Arrival]) -> None:
    """Write the log."""
    checked = [{**entry, "check": _check(entry)} for entry in map(_line, entries)]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in (_FORM, *checked)]
    disk.write_bytes(path, "".join(f"{line}\n" for line in lines).encode())


def _line(entry: Arrival) -> dict[str, Any]:
    line: dict[str, Any] = {
        "as_of": format_instant(entry.as_of),
        "bytes": entry.size,
        "file": entry.file,
        "sha256": entry.sha256,
    }
    if entry.tail is not None:
        line["pending"] = {"bytes": entry.tail.size, "sha256": entry.tail.sha256}
    return line


def _check(entry: Mapping[str, Any]) -> str:
    return disk.digest(entry)[:16]
