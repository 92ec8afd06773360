"""Read the tables that earlier stages wrote: signals, features, incidents, quarantine."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from cll.system import disk, manifest
from cll.system.partitions import SealedFolder
from cll.system.stat_cache import open_stat_cache
from cll.system.workspace import Workspace
from cll.types.errors import DataRefused, Unavailable
from cll.types.tables import Columns

_READERS = 4  # files read at the same time


@dataclass(frozen=True, eq=False)
class Tables:
    """Signals, their features (row by row, sorted by entity and time), and incidents."""

    signals: pl.DataFrame
    features: pl.DataFrame
    incidents: pl.DataFrame
    columns: Columns


def digest(ws: Workspace) -> str:
    """Return a digest of the signals and features on disk."""
    return disk.digest(
        [disk.sha256(folder / manifest.MANIFEST) for folder in (ws.signals, ws.features)]
    )


def load(ws: Workspace) -> Tables:
    """Read signals, features and incidents; refuse features that were computed from other signals."""
    found_columns = columns(ws)
    signals, features = read(ws.signals), read(ws.features)
    signals_digest = SealedFolder(ws.features).key.get("inputs", {}).get("signals")
    same_rows = features.select("entity", "time").equals(signals.select("entity", "time"))
    if signals_digest != disk.sha256(ws.signals / manifest.MANIFEST) or not same_rows:
        raise DataRefused(f"{ws.features}: not the features of {ws.signals}; run `dvc repro`.")
    return Tables(signals, features, incidents(ws), found_columns)


def read(folder: Path) -> pl.DataFrame:
    """Read all days of signals or features, sorted, and check each file's digest."""
    sealed = SealedFolder(folder, strict=True)
    days = [date for date, entry in sorted(sealed.partitions.items()) if entry["rows"]]
    if not days:
        raise Unavailable(f"{folder}: not there yet; run `dvc repro` first.")
    with ThreadPoolExecutor(max_workers=_READERS) as pool:  # many small files: the disk is slow
        frames = list(pool.map(lambda day: manifest.read_sealed(folder, sealed.files[day]), days))
    return pl.concat(frames).sort("entity", "time")


def incidents(ws: Workspace) -> pl.DataFrame:
    """Read the incidents."""
    return _read_other(ws, "incidents.parquet")


def quarantine(ws: Workspace) -> pl.DataFrame:
    """Read the quarantined records with their reasons."""
    return _read_other(ws, manifest.QUARANTINE)


def _read_other(ws: Workspace, name: str) -> pl.DataFrame:
    """Read a file of the signals folder that is not a day's, after checking its digest."""
    content = SealedFolder(ws.signals, strict=True).files.get(name)
    if content is None:
        raise Unavailable(f"{ws.signals / name}: not there yet; run `dvc repro` first.")
    return manifest.read_exactly(ws.signals / name, content[name])


def facts(ws: Workspace) -> dict[str, Any]:
    """Read ingest's facts on the signals (columns, counts), after checking that no file changed."""
    digests = open_stat_cache(ws)
    content = dict(manifest.unseal(ws.signals, digests.sha256)["facts"])
    digests.save()
    return content


def columns(ws: Workspace) -> Columns:
    """Read which columns the signals have."""
    content = facts(ws)["columns"]
    return TypeAdapter(Columns).validate_python(content)
