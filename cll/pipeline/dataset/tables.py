"""Read the tables that the stages left: signals, features, incidents, quarantine."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from cll.system import disk, manifest
from cll.system.partitions import Standing
from cll.system.stat_cache import memo
from cll.system.workspace import Workspace
from cll.types.errors import DataRefused, Unavailable
from cll.types.tables import Columns

_READERS = 4  # files that are read at once


@dataclass(frozen=True, eq=False)
class Known:
    """Signals and their features, row by row and sorted by entity and time, and incidents."""

    signals: pl.DataFrame
    features: pl.DataFrame
    incidents: pl.DataFrame
    columns: Columns


def made_of(ws: Workspace) -> str:
    """Digest what signals and features are there."""
    return disk.digest([disk.sha256(one / manifest.MANIFEST) for one in (ws.signals, ws.features)])


def known(ws: Workspace) -> Known:
    """Read signals, features and incidents, if the features are those of the signals."""
    has = columns(ws)
    signals, features = read(ws.signals), read(ws.features)
    of = Standing(ws.features).key.get("inputs", {}).get("signals")
    same_rows = features.select("entity", "time").equals(signals.select("entity", "time"))
    if of != disk.sha256(ws.signals / manifest.MANIFEST) or not same_rows:
        raise DataRefused(f"{ws.features}: not the features of {ws.signals}; run `dvc repro`.")
    return Known(signals, features, incidents(ws), has)


def read(folder: Path) -> pl.DataFrame:
    """Read all days of signals or features, sorted, and check each file's digest."""
    there = Standing(folder, strict=True)
    days = [date for date, told in sorted(there.partitions.items()) if told["rows"]]
    if not days:
        raise Unavailable(f"{folder}: not there yet; run `dvc repro` first.")
    with ThreadPoolExecutor(max_workers=_READERS) as pool:  # small files: what waits is the disk
        frames = list(pool.map(lambda day: manifest.read_sealed(folder, there.files[day]), days))
    return pl.concat(frames).sort("entity", "time")


def incidents(ws: Workspace) -> pl.DataFrame:
    """Read the incidents that were known."""
    return _beside(ws, "incidents.parquet")


def quarantine(ws: Workspace) -> pl.DataFrame:
    """Read what was wrong with records."""
    return _beside(ws, manifest.QUARANTINE)


def _beside(ws: Workspace, name: str) -> pl.DataFrame:
    """Read what lies beside the days, if it is what the manifest says."""
    found = Standing(ws.signals, strict=True).files.get(name)
    if found is None:
        raise Unavailable(f"{ws.signals / name}: not there yet; run `dvc repro` first.")
    return manifest.read_exactly(ws.signals / name, found[name])


def facts(ws: Workspace) -> dict[str, Any]:
    """Read what ingest says of the signals (columns, counts), if no file of them was changed."""
    remembered = memo(ws)
    found = dict(manifest.unseal(ws.signals, remembered.sha256)["facts"])
    remembered.save()
    return found


def columns(ws: Workspace) -> Columns:
    """Read what the signals hold."""
    found = facts(ws)["columns"]
    return TypeAdapter(Columns).validate_python(found)
