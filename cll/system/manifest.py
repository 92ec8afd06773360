"""Folders of partitions that a manifest seals with the digest of each file."""

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
    """Seal a folder: what it was made from (`key`), what is said of it, and each file's digest."""
    told = {"facts": facts, "files": files, "key": key}
    write_bytes(folder / MANIFEST, checked_bytes(told))


def unseal(folder: Path, digest_of: Callable[[Path], str] = sha256) -> dict[str, Any]:
    """Check every file against the folder's manifest, and return the manifest."""
    manifest = read_checked(folder / MANIFEST)
    there = {str(path.relative_to(folder)) for path in files(folder)}
    for name in sorted(there ^ set(manifest["files"])):
        says = "is not in the manifest" if name in there else "is missing"
        raise DataRefused(f"{folder / name}: {says}; run `dvc repro` again.")
    for name, expected in manifest["files"].items():
        if digest_of(folder / name) != expected:
            raise damaged(folder / name)
    return manifest


def files(folder: Path) -> list[Path]:
    """List a sealed folder's files, the manifest aside."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)


def part(date: str, number: int = 0) -> str:
    """Name a file of one UTC day, within its folder."""
    return f"date={date}/part-{number}.parquet"


def rejected(date: str) -> str:
    """Name the file of what a day's settling put into quarantine."""
    return f"date={date}/{QUARANTINE}"


def midnight(date: str) -> datetime:
    """Return the instant at which a partition's day begins."""
    return datetime.fromisoformat(date).replace(tzinfo=UTC)


def parts(files: Mapping[str, str]) -> list[str]:
    """Name the files among a day's that hold its rows, in order."""
    found = [name for name in files if not name.endswith(QUARANTINE)]
    return sorted(found, key=lambda name: (len(name), name))


def read_sealed(folder: Path, files: Mapping[str, str]) -> pl.DataFrame:
    """Read one day, whose files have these digests."""
    return pl.concat(read_exactly(folder / name, files[name]) for name in parts(files))


def read_exactly(path: Path, sha256: str) -> pl.DataFrame:
    """Read one Parquet file that has this digest."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataRefused(f"{path}: is missing; run `dvc repro` again.") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise damaged(path)
    return pl.read_parquet(io.BytesIO(data))


def check_sealed(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse a day whose files have other digests than these, without reading it into memory."""
    for name in parts(files):
        if sha256(folder / name) != files[name]:
            raise damaged(folder / name)
