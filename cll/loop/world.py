"""Edits of world.yaml that change one value and leave comments and layout as they are."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cll.config import project
from cll.system import disk, processes
from cll.types.errors import ConfigError


@contextmanager
def moved(path: Path, values: Mapping[str, str], keep: Callable[[], object]) -> Iterator[None]:
    """Set keys of world.yaml; if the body of the `with` fails, restore the text.

    It is not restored if another process wrote the file meanwhile, or if `keep` returns something
    true, like a release that was made with the new values.
    """
    before = after = path.read_bytes()
    done = False
    try:
        with processes.unbroken():
            for key, value in values.items():
                put(path, key, value)
                after = path.read_bytes()
        yield
        done = True
    finally:
        if not done and path.read_bytes() == after != before and not keep():
            disk.write_bytes(path, before)


def put(path: Path, key: str, value: str) -> None:
    """Set one existing key of world.yaml; the rest of the text stays as it is."""
    project.read_world(path)
    text = path.read_text(encoding="utf-8")
    written, count = re.subn(
        rf"(?m)^({re.escape(key)}:[ \t]*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s#]+)",
        lambda match: match[1] + _quoted(match[2], value),
        text,
    )
    if count != 1:
        raise ConfigError(f"{path}: {key}: no such line; write `{key}: ...` at its beginning.")
    if written != text:
        disk.write_bytes(path, written.encode())
        project.read_world(path)


def _quoted(before: str, value: str) -> str:
    """Return the value quoted as before; only letters stay bare, since YAML may read 12e4 as a number."""
    if before[0] in "\"'":
        return f"{before[0]}{value}{before[0]}"
    return value if re.fullmatch(r"[a-z]+", value) else f'"{value}"'
