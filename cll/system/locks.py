"""File locks, held by a process as long as it lives."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from cll.system import links
from cll.types.errors import Busy


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Raise Busy where another `cll` is changing this project; the lock goes with its process."""
    links.refuse(root)
    says = "Another `cll` is changing this project; run again when it is done."
    with alone(root / ".cll" / "lock", says):
        yield


def is_held(path: Path) -> bool:
    """Tell whether a process holds this lock."""
    if not path.is_file():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def alone(path: Path, says: str) -> Iterator[None]:
    """Raise Busy, saying so, where another process holds this lock."""
    path.parent.mkdir(exist_ok=True)
    with links.open_text(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(says) from None
        yield


@contextlib.contextmanager
def in_turn(root: Path, name: str) -> Iterator[None]:
    """Wait until no other process is at what has this name; the lock goes with its process."""
    path = root / ".cll" / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with links.open_text(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
