"""Content-addressed cache of files under .cll/store; each entry is computed once, also across processes.

Of several processes that need the same entry at once, one computes it while the others wait.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cll.system import disk, links, manifest
from cll.types.errors import CllError

FILE = "made"


class ContentCache:
    """A folder of cached files, with counts of entries computed and entries reused."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.made = self.reused = 0

    def get_or_make(self, made_of: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """Return the file for the key `made_of`; call `make` if it is missing or damaged."""
        place = self._folder / f"train-{disk.digest(made_of)[:16]}"
        exists = _sound(place, made_of)
        if not exists:
            place.mkdir(parents=True, exist_ok=True)
            with _alone(place):
                exists = _sound(place, made_of)  # the process that held the lock may have made it
                if not exists:
                    _make(place, made_of, make)
        self.reused, self.made = self.reused + exists, self.made + (not exists)
        os.utime(place)  # garbage collection goes by this time
        return place / FILE

    def __str__(self) -> str:
        return f"{self.made} made, {self.reused} reused from {self._folder}"


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the entry's lock; it is released when this process ends."""
    with links.open_text(place / ".lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sound(place: Path, made_of: Mapping[str, Any]) -> bool:
    """Return whether the entry matches its checksum; LightGBM can crash on a damaged file."""
    try:
        sealed = disk.read_checked(place / manifest.MANIFEST)
        files = {FILE: disk.sha256(place / FILE)}
        return bool(sealed["key"] == made_of and sealed["files"] == files)
    except (CllError, OSError, KeyError):
        return False


def _make(place: Path, made_of: Mapping[str, Any], make: Callable[[Path], None]) -> None:
    """Write the file under another name and rename it, so that it is never seen incomplete."""
    making = place / ".making"
    making.unlink(missing_ok=True)  # left by a process that was stopped
    try:
        make(making)
        files = {FILE: disk.sha256(making)}
        disk.flush([making])
        making.rename(place / FILE)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
    manifest.write_manifest(place, made_of, {}, files)
