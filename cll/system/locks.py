"""File locks, which the operating system releases when their process ends."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from cll.system import links
from cll.types.errors import Busy


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Hold the project's lock; raise Busy if another `cll` holds it."""
    links.refuse(root)
    message = "Another `cll` is changing this project; run again when it is done."
    with alone(root / ".cll" / "lock", message):
        yield


def is_held(path: Path) -> bool:
    """Return whether a process holds this lock."""
    if not path.is_file():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def alone(path: Path, message: str) -> Iterator[None]:
    """Hold a lock; raise Busy with the given message if another process holds it."""
    path.parent.mkdir(exist_ok=True)
    with links.open_text(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(message) from None
        yield


@contextlib.contextmanager
def in_turn(root: Path, name: str) -> Iterator[None]:
    """Hold the lock of this name, after waiting until no other process holds it."""
    path = root / ".cll" / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with links.open_text(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
