"""Cache of values computed from a file, valid while its size, mtime and inode are unchanged."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cll.system import disk
from cll.system.workspace import Workspace

_RACY = 50_000_000  # nanoseconds; a younger file could change again within the same mtime


class StatCache:
    """Values computed from the bytes of files, stored in one JSON file; DVC and git have similar caches.

    It does not notice bytes that decay on disk without a change of mtime. Where that matters, the
    bytes are checked again when they are used.
    """

    def __init__(self, path: Path, *, saves: bool = True) -> None:
        self._path, self._saves = path, saves
        self._entries: dict[str, Any] = {}
        try:
            checksum, _, text = path.read_bytes().partition(b"\n")
            if checksum == _checksum(text):
                self._entries = json.loads(text)
        except (OSError, ValueError):
            self._entries = {}  # forget all values; they are computed again
        self._changed = False

    def get(self, file: Path, what: str, compute: Callable[[], Any], given: object = None) -> Any:
        """Return the cached value of `what` for a file and the arguments `given`, or `compute()`.

        The value and `given` are JSON-able.
        """
        name = f"{file.absolute()}:{what}"
        now = [*stamp(file), given]
        entry = self._entries.get(name)
        if entry is not None and entry[0] == now:
            return entry[1]
        value = compute()
        if [*stamp(file), given] == now:
            self._entries[name] = [now, value]
            self._changed = True
        return value

    def sha256(self, file: Path) -> str:
        """Return the digest of a file's bytes, in hex."""
        return str(self.get(file, "sha256", lambda: disk.sha256(file)))

    def record(self, file: Path, sha256: str) -> None:
        """Store the digest of a file that the caller has just written."""
        self._entries[f"{file.absolute()}:sha256"] = [[*stamp(file), None], sha256]
        self._changed = True

    def save(self) -> None:
        """Write the entries of existing files, except files too young to be sure of."""
        if not (self._changed and self._saves):
            return
        now = time.time_ns()
        entries = {
            name: entry
            for name, entry in self._entries.items()
            if now - entry[0][1] > _RACY and Path(name.rpartition(":")[0]).exists()
        }
        text = json.dumps(entries).encode()
        disk.write_bytes(self._path, _checksum(text) + b"\n" + text)
        self._changed = False


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def stamp(file: Path) -> list[int]:
    """Return size, mtime and inode of a file."""
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def open_stat_cache(ws: Workspace) -> StatCache:
    """Return the stat cache of a workspace."""
    return StatCache(ws.cache / "memo.json", saves=not ws.read_only)
