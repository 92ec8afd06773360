"""The disk: whole files or none, partitions with a manifest, and checksums of what is ours."""

import contextlib
import csv
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from cll.system import links
from cll.types.errors import DataRefused, SecurityRefusal, Unavailable

MANIFEST = "manifest.json"
QUARANTINE = "quarantine.parquet"
_SINGLY = 32  # files that are brought to the disk one by one
ROW_GROUP = 262_144  # rows: what is read of a day at least, where entities are worked in buckets


def sha256(path: Path) -> str:
    """Return the digest of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Return the digest of a JSON-able value: the key of what is computed from it."""
    return hashlib.sha256(_compact(value)).hexdigest()


def _compact(value: object) -> bytes:
    """Write JSON on one line, some five times as fast as with an indent."""
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode()


def json_bytes(value: object) -> bytes:
    """Write JSON so that the same value is the same bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def write_bytes(path: Path, data: bytes | memoryview) -> None:
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
        sync_folder(path.parent)
    except OSError as error:
        raise Unavailable(f"{path}: can't be written: {error.strerror}; see to it.") from None


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk itself."""
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


def checked_bytes(value: Mapping[str, Any]) -> bytes:
    """Write JSON that carries its own checksum."""
    return _compact({**value, "sha256": digest(value)})


def read_checked(path: Path) -> dict[str, Any]:
    """Read JSON that carries its own checksum."""
    told = read_json(path)
    if not isinstance(told, dict) or told.pop("sha256", None) != digest(told):
        raise SecurityRefusal(
            f"{path}: its bytes are not what its checksum says; remove it and run `dvc repro` again."
        )
    return told


def write_frame(path: Path, frame: pl.DataFrame) -> str:
    """Write Parquet, atomically: same frame, same bytes. Returns their digest."""
    data = _parquet(frame)
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def write_scratch(path: Path, frame: pl.DataFrame) -> str:
    """Write Parquet where nothing is believed yet, or may be lost. Returns its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path) as file:
        file.write(_parquet(frame))
    return file.sha256


def write_scratch_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file where nothing is believed yet, or may be lost."""
    with scratch(path) as file:
        file.write(data)


class Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self.closed = False  # who is handed it may close it; the file ends with `scratch`

    def write(self, data: bytes | memoryview) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextlib.contextmanager
def scratch(path: Path) -> Iterator[Hashed]:
    """Open a file where nothing is believed yet, or may be lost."""
    try:
        with path.open("wb") as file:
            yield Hashed(file)
            file.flush()
            # Linux then begins to bring it to the disk; elsewhere nobody needs that.
            with contextlib.suppress(OSError, AttributeError):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise Unavailable(f"{path}: can't be written: {error.strerror}; see to it.") from None


def flush(paths: Sequence[Path]) -> None:
    """Bring files to the disk itself, before something else says that they are there."""
    if len(paths) > _SINGLY:
        os.sync()  # a thousand files one by one take seconds
        return
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _parquet(frame: pl.DataFrame) -> memoryview:
    buffer = io.BytesIO()
    # Level 3 takes half as long again, and of telemetry it leaves three quarters of the bytes.
    frame.rechunk().write_parquet(
        buffer,
        compression="zstd",
        compression_level=1,
        statistics=True,
        row_group_size=ROW_GROUP,
    )
    return buffer.getbuffer()


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    """Write a small frame for `dvc plots`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(frame.columns)
    writer.writerows(frame.iter_rows())
    write_bytes(path, text.getvalue().encode())


def read_csv(path: Path) -> pl.DataFrame:
    """Read back a small frame of ours."""
    texts = dict.fromkeys(("entity", "time", "kind", "model"), pl.String)
    frame = pl.read_csv(path, infer_schema_length=None, schema_overrides=texts)
    if "time" not in frame.columns:
        return frame
    # Thirty times as fast as to have polars look for dates itself.
    return frame.with_columns(pl.col("time").str.to_datetime("%+", time_unit="us", time_zone="UTC"))


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read one Parquet file of ours, or some of its columns."""
    try:
        return pl.read_parquet(path, columns=columns, hive_partitioning=False)  # type: ignore[arg-type]
    except FileNotFoundError:
        raise Unavailable(f"{path}: not there yet; run `dvc repro` first.") from None
    except pl.exceptions.PolarsError as error:
        says = str(error).split("\n", 1)[0]
        raise DataRefused(f"{path}: damaged ({says}); remove it and run `dvc repro`.") from None


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


def fresh(folder: Path) -> Path:
    """Empty a folder of ours, so that nothing of an earlier run is taken for this one's."""
    links.remove(folder)
    folder.mkdir(parents=True)
    return folder


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


def damaged(path: Path) -> SecurityRefusal:
    """Say that a file is not what its checksum says."""
    return SecurityRefusal(
        f"{path}: its bytes are not those of the manifest; remove it and run `dvc repro` again."
    )
