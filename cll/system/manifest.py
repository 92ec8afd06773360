"""Manifest of a folder of partitions: its key, facts, and the digest of each file."""

import hashlib
import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from cll.system.disk import checked_bytes, damaged, read_checked, sha256, write_bytes
from cll.types.errors import DataRefused

MANIFEST = "manifest.json"


QUARANTINE = "quarantine.parquet"


def write_manifest(
    folder: Path, key: Mapping[str, Any], facts: Mapping[str, Any], files: Mapping[str, str]
) -> None:
    """Write the manifest: the inputs (`key`), the facts to report, and each file's digest."""
    write_bytes(folder / MANIFEST, checked_bytes({"facts": facts, "files": files, "key": key}))


def unseal(folder: Path, digest_of: Callable[[Path], str] = sha256) -> dict[str, Any]:
    """Check every file against the folder's manifest, and return the manifest."""
    manifest = read_checked(folder / MANIFEST)
    existing = {str(path.relative_to(folder)) for path in files(folder)}
    for name in sorted(existing ^ set(manifest["files"])):
        fault = "is not in the manifest" if name in existing else "is missing"
        raise DataRefused(f"{folder / name}: {fault}; run `dvc repro` again.")
    for name, expected in manifest["files"].items():
        if digest_of(folder / name) != expected:
            raise damaged(folder / name)
    return manifest


def files(folder: Path) -> list[Path]:
    """Return the files of a folder, except the manifest."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)


def part(date: str, number: int = 0) -> str:
    """Return the name of a file of one UTC day, relative to the folder."""
    return f"date={date}/part-{number}.parquet"


def rejected(date: str) -> str:
    """Return the name of the file of a day's quarantined records."""
    return f"date={date}/{QUARANTINE}"


def midnight(date: str) -> datetime:
    """Return the instant at which a partition's day begins."""
    return datetime.fromisoformat(date).replace(tzinfo=UTC)


def parts(files: Mapping[str, str]) -> list[str]:
    """Return the names of a day's files that hold rows, in order."""
    names = [name for name in files if not name.endswith(QUARANTINE)]
    return sorted(names, key=lambda name: (len(name), name))


def read_sealed(folder: Path, files: Mapping[str, str]) -> pl.DataFrame:
    """Read the rows of one day; raise if a file does not have its digest."""
    return pl.concat(read_exactly(folder / name, files[name]) for name in parts(files))


def read_exactly(path: Path, sha256: str) -> pl.DataFrame:
    """Read one Parquet file; raise if it does not have this digest."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataRefused(f"{path}: is missing; run `dvc repro` again.") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise damaged(path)
    return pl.read_parquet(io.BytesIO(data))


def check_sealed(folder: Path, files: Mapping[str, str]) -> None:
    """Raise if a file of a day does not have its digest; the rows are not loaded into memory."""
    for name in parts(files):
        if sha256(folder / name) != files[name]:
            raise damaged(folder / name)
