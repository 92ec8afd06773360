"""Log of file arrivals in registry/arrivals.jsonl, kept in git.

Each entry records the size and digest of a file's whole records at the `as_of` at which they were
first seen, and the bytes after them that were pending. Entries are only appended, so every machine
that rebuilds agrees on when each record was known. Files that shrank, vanished or were rewritten
are detected by content.
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
class SourceFiles:
    """The source's files as they are now, and the log with their new arrivals."""

    files: list[Arrived]
    log: list[Arrival]
    stamps: dict[str, list[int]]

    def refuse_changed(self) -> None:
        """Raise Busy if bytes of a file changed after they were inspected.

        New bytes at its end are allowed.
        """
        for file in self.files:
            size = max((part.stop for part in file.parts), default=0)
            if stamp(Path(file.file)) == self.stamps[file.file]:
                continue
            if growth.digest(Path(file.file), size) != file.sha256:
                raise Busy(f"{file.file}: changed while it was read; run again.")


def inspect(ws: Workspace, source: Source, as_of: datetime) -> SourceFiles:
    """Hash each file that the source reads, and compare it with the log.

    Raises DataRefused for a logged file that was rewritten, has shrunk or has vanished.
    """
    log, cache = read(ws.root / LOG), open_stat_cache(ws)
    chains = growth.chains(log)
    reads = source.reads
    stamps = {path.as_posix(): stamp(path) for path in reads}

    def survey_file(path: Path) -> Survey:
        return _survey(path, chains.get(path.as_posix(), ()), cache, source, as_of)

    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        results = progress.track(pool.map(survey_file, reads), "ingest: files", total=len(reads))
        surveys = dict(zip((path.as_posix() for path in reads), results, strict=True))
    for old, new in _moved(surveys, chains).items():
        chains[new] = [replace(entry, file=new) for entry in chains.pop(old)]
        log += [Arrival(old, growth.GONE, as_of, 0), *chains[new]]
        surveys[new] = survey_file(Path(new))
    _refuse_vanished(source, {*surveys}, chains, as_of)
    files = []
    for file, surveyed in surveys.items():
        chain = chains.get(file, [])
        arrivals = growth.new_arrivals(chain, _arrival(file, surveyed, as_of), surveyed)
        log += arrivals
        files.append(growth.arrived(file, surveyed, growth.ordered([*chain, *arrivals])))
    cache.save()
    return SourceFiles(files, log, stamps)


def _survey(
    path: Path, chain: Sequence[Arrival], cache: StatCache, source: Source, as_of: datetime
) -> Survey:
    limits = getattr(source, "limits", Limits())
    history = growth.history(path, chain, as_of)
    settled = history.settled or _reads_last_lines(source)

    def compute() -> dict[str, Any]:
        return asdict(survey(path, history.ends, limits, settled=settled))

    try:
        given = [history.ends, asdict(limits), settled]
        facts = cache.get(path, "survey", compute, given=json.loads(json.dumps(given)))
    except OSError as why:
        raise Unavailable(f"{path}: {why.strerror}; check the disk and the permissions.") from None
    tail = Tail(**facts["tail"]) if facts["tail"] else None
    digests = dict(zip(history.ends, facts["prefixes"], strict=True))
    digests |= {facts["size"]: facts["sha256"]}
    prefixes = tuple(digests.get(entry.size) for entry in chain)
    cuts = tuple(Cut(**cut) for cut in facts["cuts"])
    return Survey(facts["size"], facts["sha256"], prefixes, cuts, facts["content"], tail)


def _reads_last_lines(source: Source) -> bool:
    """Return whether the source reads a last line that has no newline."""
    return getattr(source, "last_line", "wait") == "read"


def _arrival(file: str, surveyed: Survey, as_of: datetime) -> Arrival:
    return Arrival(file, surveyed.sha256, as_of, surveyed.size, surveyed.tail)


def _moved(surveys: Mapping[str, Survey], chains: Mapping[str, list[Arrival]]) -> dict[str, str]:
    """Return the new name of each logged file that was renamed.

    The file's log entries then apply to the new name.
    """
    moved: dict[str, str] = {}
    for new, surveyed in surveys.items():
        is_new = (surveyed.size or surveyed.tail) and new not in chains
        for old, chain in chains.items() if is_new else ():
            same = growth.is_as_read(surveyed, chain)
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
            f"or drop its records: cll ingest --accept {file}."
        )


def as_new(source: Source, as_of: datetime) -> list[Arrived]:
    """Return the source's files as if they had just arrived, for callers without a log."""
    files, limits = [], getattr(source, "limits", Limits())
    for path in source.reads:
        surveyed = survey(path, (), limits, settled=_reads_last_lines(source))
        now = _arrival(path.as_posix(), surveyed, as_of)
        files.append(growth.arrived(now.file, surveyed, [now]))
    return files


def accept(ws: Workspace, source: Source, files: Sequence[str], as_of: datetime) -> list[str]:
    """Log rewritten or missing files as they are now; return a message about each."""
    log, messages = read(ws.root / LOG), []
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
            surveyed = survey(Path(file), (), limits, settled=settled)
            if growth.is_as_read(surveyed, chains[file]):
                raise ConfigError(f"{file}: is as it was read; there is nothing to accept.")
            log.append(_arrival(file, surveyed, as_of))
            messages.append(f"{file}: taken as it is now, known from {format_instant(as_of)} on.")
        else:
            messages.append(f"{file}: dropped; its records will be missing.")
    write(ws.root / LOG, log)
    return messages


def is_kept(ws: Workspace) -> bool:
    """Return whether the project has an arrival log yet."""
    return (ws.root / LOG).is_file()


def read(path: Path) -> list[Arrival]:
    """Read the log: a first line with format and version, then one JSON object per arrival."""
    if not path.is_file():
        return []
    entries, lines = [], path.read_bytes().splitlines()
    if not lines:  # else every file would count as just arrived
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


def _entry(fields: dict[str, Any]) -> Arrival:
    if fields.pop("check") != _check(fields):
        raise ValueError("its checksum does not match")
    tail = None
    if "pending" in fields:
        tail = Tail(fields["pending"]["bytes"], fields["pending"]["sha256"])
    as_of = parse_instant(fields["as_of"])
    return Arrival(fields["file"], fields["sha256"], as_of, fields["bytes"], tail)


def write(path: Path, entries: Iterable[Arrival]) -> None:
    """Write the log, with a checksum in each line."""
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
