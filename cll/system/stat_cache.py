"""What was computed of files that did not change since: believed by size and time of change."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cll.system import disk
from cll.system.workspace import Workspace

_RACY = 50_000_000  # nanoseconds; a file this young could change again without a new time


class Memo:
    """Remembers what was computed of a file's bytes, as DVC and git do.

    Only for what is checked again wherever the bytes are used: a bit that rots under an unchanged
    time of change is found there, not here.
    """

    def __init__(self, path: Path, *, kept: bool = True) -> None:
        self._path, self._kept = path, kept
        self._known: dict[str, Any] = {}
        try:
            checksum, _, text = path.read_bytes().partition(b"\n")
            if checksum == _checksum(text):
                self._known = json.loads(text)
        except (OSError, ValueError):
            self._known = {}  # nothing is lost but time
        self._changed = False

    def of(self, file: Path, what: str, compute: Callable[[], Any], given: object = None) -> Any:
        """Return `compute()`, or what it gave when the file was last read, and was `given` the same.

        All of it is JSON-able.
        """
        name = f"{file.absolute()}:{what}"
        now = [*stamp(file), given]
        entry = self._known.get(name)
        if entry is not None and entry[0] == now:
            return entry[1]
        found = compute()
        if [*stamp(file), given] == now:
            self._known[name] = [now, found]
            self._changed = True
        return found

    def sha256(self, file: Path) -> str:
        """Return the digest of a file's bytes, in hex."""
        return str(self.of(file, "sha256", lambda: disk.sha256(file)))

    def know(self, file: Path, sha256: str) -> None:
        """Take the digest from who wrote the file."""
        self._known[f"{file.absolute()}:sha256"] = [[*stamp(file), None], sha256]
        self._changed = True

    def save(self) -> None:
        """Write down what is known of files that are still as they were."""
        if not (self._changed and self._kept):
            return
        now = time.time_ns()
        kept = {
            name: entry
            for name, entry in self._known.items()
            if now - entry[0][1] > _RACY and Path(name.rpartition(":")[0]).exists()
        }
        text = json.dumps(kept).encode()
        disk.write_bytes(self._path, _checksum(text) + b"\n" + text)
        self._changed = False


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def stamp(file: Path) -> list[int]:
    """Return what changes when a file does: size, time of change, and which file it is."""
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def memo(ws: Workspace) -> Memo:
    """Return what is remembered of files that did not change."""
    return Memo(ws.cache / "memo.json", kept=not ws.looking)
