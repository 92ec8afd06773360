"""Take corrected records back: copy them into the source's folder, and ingest again."""

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

FOLDER = "mended"  # below the source's folder, if its patterns match files in there


@dataclass(frozen=True)
class _Corrected:
    path: Path
    data: bytes  # the changed records
    target: PurePath  # relative to the source's folder


def take(root: Path, folder: Path, ingest: Callable[[], None]) -> Iterator[str]:
    """Copy corrected files into the source's folder under new names, and call `ingest`.

    Yields report lines. All files are checked before the first is copied, and files that were not
    changed since the export are left out. If `ingest` raises, the copies are removed again.
    """
    ws = Workspace(root)
    source = stage.source_of(load_tree(ws))
    source_path = getattr(source, "path", None)
    if source_path is None:
        yield "The source is simulated: there is nothing to mend."
        return
    base = _base(str(source_path), source)
    files = list[_Corrected]()
    for path in _files(folder):
        corrected = _corrected(ws, source, folder, path)
        if corrected is None:
            yield f"{path}: is as it was exported; left out."
        elif (base / corrected.target).exists():
            yield f"{path}: was read already; left out."
        else:
            files.append(corrected)
    if not files:
        yield f"{folder}: nothing in it was mended."
        return
    log = (
        (ws.root / arrival_log.LOG).read_bytes() if (ws.root / arrival_log.LOG).is_file() else None
    )
    before = disk.read_json(ws.reports / "ingest.json")
    try:
        for corrected in files:
            disk.write_bytes(base / corrected.target, corrected.data)
            yield f"{corrected.path}: to be read as {(base / corrected.target).as_posix()}."
        ingest()
    except BaseException:
        _remove_copies(base, files, ws.root / arrival_log.LOG, log)
        yield "Ingest refused the corrected records, so all of them were removed again."
        raise
    yield from _report(before, disk.read_json(ws.reports / "ingest.json"))


def _remove_copies(base: Path, files: Sequence[_Corrected], log: Path, text: bytes | None) -> None:
    for corrected in files:
        path = base / corrected.target
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder has other files
            path.parent.rmdir()
    if text is not None:
        disk.write_bytes(log, text)  # otherwise the log would report the copies as deleted files


def _report(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[str]:
    kept, doubled, bad = (after[k] - before[k] for k in ("kept", "duplicate", "quarantined"))
    yield RECORDS.format(**after)
    yield (
        f"Corrected records: {kept:,} kept, {doubled:,} duplicate, {bad:,} quarantined again. The "
        "published originals still count as quarantined, since they are still in their files."
    )


def _base(path: str, source: Any) -> Path:
    if not Path(path).is_dir():
        raise ConfigError(f"source.path={path}: not a folder; correct the records in it yourself.")
    if getattr(source.signals, "clock", None) is not None:
        raise ConfigError("source.signals.clock counts the rows of one file: correct that file.")
    return Path(path)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; `cll quarantine --export` writes one.")
    listed = folders.listed(str(folder), ["**/*"]).files
    return [path for path in listed if path != folder / quarantine.INDEX]


def _corrected(ws: Workspace, source: Any, folder: Path, path: Path) -> _Corrected | None:
    """Return a corrected file's changed records and target; None if it is as it was exported."""
    faults = quarantine.read(ws)
    names = quarantine.exported(faults, source.path)
    inside = path.relative_to(folder)
    if inside not in names:
        raise ConfigError(
            f"{path}: no file of this name was exported; keep the name of the export."
        )
    file, rows = names[inside]
    data, before = path.read_bytes(), quarantine.content(ws.root / file, rows)[0]
    if data == before:
        return None
    reasons = faults.filter(pl.col("file") == file)["reason"]
    # If the header was at fault, all records must be read with the corrected header.
    if rows is not None and before is not None:
        whole = any(map(is_about_header, reasons))
        data = excerpts.mended(path.name, data, b"" if whole else before)
    table = faults.filter(pl.col("file") == file)["table"][0]
    name = inside.with_stem(f"{inside.stem}-{disk.digest(data.hex())[:12]}")
    for target in (PurePath(FOLDER, name), PurePath(name)):
        if _fits(source, target) == table:
            return _Corrected(path, data, target)
    raise ConfigError(
        f"{path}: neither {FOLDER}/{name.as_posix()} nor {name.as_posix()} fits {table}.files; "
        "widen the pattern."
    )


def _fits(source: Any, target: PurePath) -> str | None:
    """Return the table whose patterns match a name below the source's folder, or None."""
    file = PurePath(source.path, target).as_posix()
    for table in ("incidents", "signals"):  # a file that fits both holds incidents
        settings = getattr(source, table)
        if settings is not None and folders.fits(source.path, settings.files, file):
            return table
    return None
