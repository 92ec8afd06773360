"""What follows from rows alone, by content under .cll/store: made once for all that ask for it.

Also for processes that ask at once: one of them makes it while the others wait.
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


class Shelf:
    """A folder of files, and how many of those asked for were made, or were there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.made = self.found = 0

    def keep(self, made_of: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """Return the file made of `made_of`; one that is damaged is made again."""
        place = self._folder / f"train-{disk.digest(made_of)[:16]}"
        there = _sound(place, made_of)
        if not there:
            place.mkdir(parents=True, exist_ok=True)
            with _alone(place):
                there = _sound(place, made_of)  # by who had the lock before
                if not there:
                    _make(place, made_of, make)
        self.found, self.made = self.found + there, self.made + (not there)
        os.utime(place)  # what is in use is no garbage
        return place / FILE

    def __str__(self) -> str:
        return f"{self.made} made, {self.found} as kept in {self._folder}"


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Wait until no other process is making this; the lock goes with its process."""
    with links.open_text(place / ".lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sound(place: Path, made_of: Mapping[str, Any]) -> bool:
    """Check every byte: who parses the file may not survive a damaged one."""
    try:
        told = disk.read_checked(place / manifest.MANIFEST)
        files = {FILE: disk.sha256(place / FILE)}
        return bool(told["key"] == made_of and told["files"] == files)
    except (CllError, OSError, KeyError):
        return False


def _make(place: Path, made_of: Mapping[str, Any], make: Callable[[Path], None]) -> None:
    """Make the file under another name first: under its own it is whole, or not there."""
    making = place / ".making"
    making.unlink(missing_ok=True)  # of a process that was stopped
    try:
        make(making)
        files = {FILE: disk.sha256(making)}
        disk.flush([making])
        making.rename(place / FILE)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
    manifest.write_manifest(place, made_of, {}, files)
