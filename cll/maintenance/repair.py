"""Records that were mended: put beside the source's files, and read again."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import polars as pl

from cll.config.project import load_tree
from cll.maintenance import excerpts, quarantine
from cll.pipeline.ingest import arrival_log, stage
from cll.pipeline.ingest.readers import folders
from cll.pipeline.ingest.readers.csv_headers import is_about_header
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError
from cll.types.records import RECORDS

FOLDER = "mended"  # below the source's, where its patterns reach that far


@dataclass(frozen=True)
class _Mended:
    path: Path
    data: bytes
    target: PurePath  # below the source's folder


def take(root: Path, folder: Path, ingest: Callable[[], None]) -> Iterator[str]:
    """Copy what was mended to the source's files under names of its own, and `ingest`.

    Yields what is said. All is checked before any is copied, what was not changed since the export
    is left out, and where `ingest` refuses nothing of it stays.
    """
    ws = Workspace(root)
    source = stage.source_of(load_tree(ws))
    path = getattr(source, "path", None)
    if path is None:
        yield "The source is simulated: there is nothing to mend."
        return
    base = _base(str(path), source)
    mended = list[_Mended]()
    for one in _files(folder):
        found = _mended(ws, source, folder, one)
        if found is None:
            yield f"{one}: is as it was exported; left out."
        elif (base / found.target).exists():
            yield f"{one}: was read already; left out."
        else:
            mended.append(found)
    if not mended:
        yield f"{folder}: nothing in it was mended."
        return
    log = (
        (ws.root / arrival_log.LOG).read_bytes() if (ws.root / arrival_log.LOG).is_file() else None
    )
    before = disk.read_json(ws.reports / "ingest.json")
    try:
        for found in mended:
            disk.write_bytes(base / found.target, found.data)
            yield f"{found.path}: to be read as {(base / found.target).as_posix()}."
        ingest()
    except BaseException:
        _take_back(base, mended, ws.root / arrival_log.LOG, log)
        yield "It was refused, so nothing of it was taken."
        raise
    yield from _told(before, disk.read_json(ws.reports / "ingest.json"))


def _take_back(base: Path, mended: Sequence[_Mended], log: Path, text: bytes | None) -> None:
    for one in mended:
        path = base / one.target
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other files lie there
            path.parent.rmdir()
    if text is not None:
        disk.write_bytes(log, text)  # else they would have vanished


def _told(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[str]:
    kept, doubled, bad = (after[k] - before[k] for k in ("kept", "duplicate", "quarantined"))
    yield RECORDS.format(**after)
    yield (
        f"Of what was mended, {kept:,} kept, {doubled:,} duplicate, {bad:,} quarantined again. What "
        "was published stays counted as quarantined: it still lies in its files."
    )


def _base(path: str, source: Any) -> Path:
    if not Path(path).is_dir():
        raise ConfigError(f"source.path={path}: not a folder; put what was mended there yourself.")
    if getattr(source.signals, "clock", None) is not None:
        raise ConfigError("source.signals.clock counts the rows of one file: mend that file.")
    return Path(path)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; `cll quarantine --export` writes one.")
    listed = folders.listed(str(folder), ["**/*"]).files
    return [path for path in listed if path != folder / quarantine.INDEX]


def _mended(ws: Workspace, source: Any, folder: Path, path: Path) -> _Mended | None:
    """Find a mended file's place; None where it is what was exported."""
    faults = quarantine.read(ws)
    names = quarantine.exported(faults, source.path)
    inside = path.relative_to(folder)
    if inside not in names:
        raise ConfigError(f"{path}: no file of this name is at fault; keep the name of the export.")
    file, rows = names[inside]
    data, before = path.read_bytes(), quarantine.content(ws.root / file, rows)[0]
    if data == before:
        return None
    reasons = faults.filter(pl.col("file") == file)["reason"]
    # What stands below a header of its own is not to be read without it.
    if rows is not None and before is not None:
        whole = any(map(is_about_header, reasons))
        data = excerpts.mended(path.name, data, b"" if whole else before)
    table = faults.filter(pl.col("file") == file)["table"][0]
    name = inside.with_stem(f"{inside.stem}-{disk.digest(data.hex())[:12]}")
    for target in (PurePath(FOLDER, name), PurePath(name)):
        if _fits(source, target) == table:
            return _Mended(path, data, target)
    raise ConfigError(
        f"{path}: neither {FOLDER}/{name.as_posix()} nor {name.as_posix()} fits {table}.files; "
        "widen the pattern."
    )


def _fits(source: Any, target: PurePath) -> str | None:
    """Tell whose patterns a name below the source's folder fits."""
    file = PurePath(source.path, target).as_posix()
    for table in ("incidents", "signals"):  # a file that fits both holds incidents
        settings = getattr(source, table)
        if settings is not None and folders.fits(source.path, settings.files, file):
            return table
    return None
