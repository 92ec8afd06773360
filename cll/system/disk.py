"""Files on disk: atomic writes, JSON with checksums, and digests."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from cll.system import links
from cll.types.errors import DataRefused, SecurityRefusal, Unavailable

_SINGLY = 32  # up to this many files are synced one by one


def sha256(path: Path) -> str:
    """Return the digest of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Return the digest of a JSON-able value; it serves as a cache key."""
    return hashlib.sha256(_compact(value)).hexdigest()


def _compact(value: object) -> bytes:
    """Return JSON on one line; writing it is about five times as fast as with an indent."""
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode()


def json_bytes(value: object) -> bytes:
    """Return indented JSON; equal values give equal bytes."""
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
        raise Unavailable(
            f"{path}: can't be written: {error.strerror}; check the disk and the permissions."
        ) from None


def sync_folder(folder: Path) -> None:
    """Sync a folder to disk, so that new names in it survive a crash of the machine."""
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
    """Return JSON that holds its own checksum."""
    return _compact({**value, "sha256": digest(value)})


def read_checked(path: Path) -> dict[str, Any]:
    """Read JSON that holds its own checksum; raise SecurityRefusal if that does not match."""
    value = read_json(path)
    if not isinstance(value, dict) or value.pop("sha256", None) != digest(value):
        raise SecurityRefusal(
            f"{path}: its bytes do not match its checksum; remove it and run `dvc repro` again."
        )
    return value


def write_scratch_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file without syncing it to disk, for one that is sealed later or may be lost."""
    with scratch(path) as file:
        file.write(data)


class Hashed:
    """A file that is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self.closed = False  # a writer may close it; `scratch` closes the file

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
    """Open a file to write without syncing it to disk, for one that is sealed later or may be lost."""
    try:
        with path.open("wb") as file:
            yield Hashed(file)
            file.flush()
            # On Linux this starts writing to disk early; it is optional.
            with contextlib.suppress(OSError, AttributeError):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise Unavailable(
            f"{path}: can't be written: {error.strerror}; check the disk and the permissions."
        ) from None


def flush(paths: Sequence[Path]) -> None:
    """Sync files to disk, before a manifest names them."""
    if len(paths) > _SINGLY:
        os.sync()  # a thousand single syncs take seconds
        return
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def fresh(folder: Path) -> Path:
    """Return a folder emptied of the files of earlier runs."""
    links.remove(folder)
    folder.mkdir(parents=True)
    return folder


def damaged(path: Path) -> SecurityRefusal:
    """Return the error for a file that does not match its checksum."""
    return SecurityRefusal(
        f"{path}: its bytes do not match the manifest; remove it and run `dvc repro` again."
    )
