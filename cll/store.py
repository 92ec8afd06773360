"""The disk: whole files or none, partitions with a manifest, and checksums of what is ours."""

import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from cll.errors import DataRefused, SecurityRefusal, Unavailable
from cll.values import Arrival, format_instant, parse_instant

MANIFEST = "manifest.json"
PART = "part-0.parquet"
ARRIVALS = {"form": "arrivals", "version": 1}


def sha256(path: Path) -> str:
    """Return the digest of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Return the digest of a JSON-able value: the key of what is computed from it."""
    return hashlib.sha256(json_bytes(value)).hexdigest()


def json_bytes(value: object) -> bytes:
    """Write JSON so that the same value is the same bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a reader sees the old bytes or the new ones, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).rename(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise Unavailable(f"{path}: can't be written: {error.strerror}; see to it.") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: object) -> None:
    """Write a JSON-able value, keys sorted."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
    """Read a JSON file that one of the stages wrote."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise Unavailable(f"{path}: not there yet; run `dvc repro` first.") from None
    except ValueError as error:
        raise DataRefused(f"{path}: damaged JSON: {error}; run `dvc repro` again.") from None


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write Parquet: same frame, same bytes."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True)
    write_bytes(path, buffer.getvalue())


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    """Write a small frame for `dvc plots`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(frame.iter_rows())
    write_bytes(path, text.getvalue().encode())


def read_csv(path: Path) -> pl.DataFrame:
    """Read back a small frame of ours."""
    names = {"entity": pl.String, "kind": pl.String, "model": pl.String}
    return pl.read_csv(path, infer_schema_length=None, try_parse_dates=True, schema_overrides=names)


def read_frame(path: Path) -> pl.DataFrame:
    """Read one Parquet file of ours."""
    try:
        return pl.read_parquet(path, hive_partitioning=False)
    except FileNotFoundError:
        raise Unavailable(f"{path}: not there yet; run `dvc repro` first.") from None
    except pl.exceptions.PolarsError as error:
        says = str(error).split("\n", 1)[0]
        raise DataRefused(f"{path}: damaged ({says}); remove it and run `dvc repro`.") from None


def seal(folder: Path, key: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write a folder's manifest: what it was made from (`key`), and each file's digest."""
    files = {str(path.relative_to(folder)): sha256(path) for path in _files(folder)}
    write_json(folder / MANIFEST, {"facts": dict(facts), "files": files, "key": dict(key)})


def unseal(folder: Path) -> dict[str, Any]:
    """Check every file against the folder's manifest, and return the manifest."""
    manifest = read_json(folder / MANIFEST)
    there = {str(path.relative_to(folder)) for path in _files(folder)}
    for name in sorted(there ^ set(manifest["files"])):
        says = "is not in the manifest" if name in there else "is missing"
        raise DataRefused(f"{folder / name}: {says}; run `dvc repro` again.")
    for name, expected in manifest["files"].items():
        if sha256(folder / name) != expected:
            raise SecurityRefusal(
                f"{folder / name}: its bytes are not those of the manifest; "
                "remove it and run `dvc repro` again."
            )
    return dict(manifest)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)


def fresh(folder: Path) -> Path:
    """Empty a folder of ours, so that nothing of an earlier run is taken for this one's."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def partition(folder: Path, date: str) -> Path:
    """Name the file of one UTC day."""
    return folder / f"date={date}" / PART


def dates(folder: Path) -> list[str]:
    """List the days that a folder has, in order."""
    return sorted(p.name.removeprefix("date=") for p in folder.glob("date=*") if p.is_dir())


def read_partitions(folder: Path, days: Iterable[str] | None = None) -> pl.DataFrame:
    """Read the partitions of these days (or all), in order of date, as one frame."""
    paths = [partition(folder, d) for d in (dates(folder) if days is None else days)]
    frames = [read_frame(path) for path in paths if path.is_file()]
    if not frames:
        raise DataRefused(f"{folder}: no partition to read; is as_of before the data's first day?")
    return pl.concat(frames)


def read_arrivals(path: Path) -> list[Arrival]:
    """Read the arrival log: a first line that names its form, then one JSON object a file seen."""
    if not path.is_file():
        return []
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            if entry != ARRIVALS:
                at = parse_instant(entry["as_of"])
                entries.append(Arrival(entry["file"], entry["sha256"], at))
        except (ValueError, KeyError, TypeError) as error:
            raise DataRefused(
                f"{path}:{number}: not an arrival ({error}); restore the file from git."
            ) from None
    return entries


def write_arrivals(path: Path, entries: Iterable[Arrival]) -> None:
    """Write the arrival log."""
    told = [{"as_of": format_instant(e.as_of), "file": e.file, "sha256": e.sha256} for e in entries]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in (ARRIVALS, *told)]
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
