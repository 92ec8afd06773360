"""List the files that a path and its patterns match, and the skipped ones with the reason.

The matcher is wcmatch's, which behaves the same on every version of Python. It both lists files and
tells whether a name would be listed. `**` is any number of folders; at the end of a pattern it
matches files too.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from wcmatch import glob

from cll.pipeline.ingest.readers.formats import format_of

_ANY_FOLDERS = "**"
_Entry = os.DirEntry[str] | Path


@dataclass(frozen=True)
class Listed:
    """Sorted by name."""

    files: tuple[Path, ...]
    skipped: tuple[str, ...]  # "runs/old.csv: a symlink"


@dataclass(frozen=True)
class _Matcher:
    """Compiled patterns, one for paths below a folder and one for the folders that lead to them."""

    paths: re.Pattern[str]
    folders: re.Pattern[str]


def exists(path: str) -> bool:
    """Return whether `path`, a folder, a file or a glob, names anything."""
    return next(_bases(path), None) is not None


def listed(path: str, patterns: Sequence[str]) -> Listed:
    """Return the files under `path` that match one of `patterns` and have a supported suffix.

    The longest existing part of `path` is taken literally; the rest is a glob. Symlinks, pipes,
    devices and hidden names are skipped.
    """
    files, skipped = set[str](), set[str]()
    for entry in _candidates(path, patterns):
        why = _reason_to_skip(entry)
        if why is None:
            files.add(os.fspath(entry))
        elif why:
            shown = os.fspath(entry).encode(errors="backslashreplace").decode()
            skipped.add(f"{shown}: {why}")
    return Listed(tuple(map(Path, sorted(files))), tuple(sorted(skipped)))


def fits(path: str, patterns: Sequence[str], file: str) -> bool:
    """Return whether a regular file of this name would be listed, if it existed.

    >>> fits("runs", ["**/*.csv"], "runs/may/a.csv"), fits("runs", ["*"], "runs/may/a.csv")
    (True, False)
    """
    name = PurePosixPath(file)
    base, rest = _fixed(path, name)
    if format_of(file) is None or not _is_utf8(file) or not name.is_relative_to(base):
        return False
    parts = name.relative_to(base).parts
    if not rest:
        return _is_wanted(parts or (name.name,), patterns, is_base=not parts)
    bases = _matcher((rest,)).paths
    return any(
        bases.match("/".join(parts[:depth]))
        and _is_wanted(parts[depth:] or (name.name,), patterns, is_base=depth == len(parts))
        for depth in range(1, len(parts) + 1)
    )


def _is_wanted(parts: Sequence[str], patterns: Sequence[str], *, is_base: bool) -> bool:
    """Return whether a file matches one of the patterns; `parts` is its path below the base.

    If the base is the file itself, its name alone is compared, with the last part of each pattern.
    """
    if _is_hidden("/".join(parts)):
        return False
    asked = tuple(PurePosixPath(pattern).name for pattern in patterns) if is_base else patterns
    return _matcher(tuple(asked)).paths.match("/".join(parts)) is not None


def _fixed(path: str, file: PurePosixPath | None = None) -> tuple[PurePosixPath, str]:
    """Return the longest part of a path that exists, or would if `file` did, and the rest of it.

    The rest is a glob, or "".
    """
    whole = PurePosixPath(path)
    for base in (whole, *whole.parents):
        if os.path.exists(base) or (file is not None and file.is_relative_to(base)):  # noqa: PTH110  where pathlib raises for a long name, this returns False
            break
    rest = whole.relative_to(base)
    return base, rest.as_posix() if rest.parts else ""


@cache
def _matcher(patterns: tuple[str, ...]) -> _Matcher:
    on_the_way: set[str] = set()
    for pattern in patterns:
        parts = PurePosixPath(pattern).parts
        ends = parts.index(_ANY_FOLDERS) + 1 if _ANY_FOLDERS in parts else len(parts) - 1
        on_the_way |= {"/".join(parts[: depth + 1]) for depth in range(ends)}
    whole = [PurePosixPath(pattern).as_posix() for pattern in patterns]
    return _Matcher(_compiled(whole), _compiled(sorted(on_the_way)))


def _compiled(patterns: Sequence[str]) -> re.Pattern[str]:
    expressions, _ = glob.translate(patterns, flags=glob.GLOBSTAR | glob.FORCEUNIX)
    return re.compile("|".join(expressions) or r"(?!)")  # without a pattern nothing matches


def _bases(path: str) -> Iterator[Path]:
    """Yield the folders and files that a path names."""
    base, rest = _fixed(path)
    if not rest:
        if os.path.exists(base):  # noqa: PTH110  as in _fixed
            yield Path(base)
        return
    matcher = _matcher((rest,))
    # A named symlink is followed, but `**` could loop through one.
    for inside, entry in _walk(Path(base), matcher, follow=_ANY_FOLDERS not in rest.split("/")):
        if matcher.paths.match(inside):
            yield Path(entry)


def _candidates(path: str, patterns: Sequence[str]) -> Iterator[_Entry]:
    """Yield the matches below each base, and linked folders that may contain matches."""
    matcher = _matcher(tuple(patterns))
    for base in _bases(path):
        if base.is_dir():
            below = _walk(base, matcher, follow=False)
            yield from (entry for inside, entry in below if not _is_hidden(inside))
        elif _is_wanted((base.name,), patterns, is_base=True):
            yield base


def _walk(base: Path, matcher: _Matcher, *, follow: bool) -> Iterator[tuple[str, _Entry]]:
    """Yield each match with its path below `base`.

    A linked folder that may contain matches is entered if `follow`, and otherwise yielded itself.
    """
    waiting = [(os.fspath(base), "")]
    while waiting:
        folder, prefix = waiting.pop()
        for entry in _entries(folder):
            inside = f"{prefix}{entry.name}"
            leads_on = entry.is_dir() and matcher.folders.match(inside) is not None
            is_shut = leads_on and not follow and entry.is_symlink()
            if leads_on and not is_shut:
                waiting.append((entry.path, f"{inside}/"))
            if is_shut or matcher.paths.match(inside):
                yield inside, entry


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return a folder's entries; none if it has vanished or can't be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _reason_to_skip(entry: _Entry) -> str | None:
    """Return why an entry is skipped: "" for no message, None if it is not skipped."""
    if not _is_utf8(os.fspath(entry)):
        return "a name that is not UTF-8"
    if entry.is_symlink():
        return "a symlink"
    if entry.is_dir():
        return ""
    if not entry.is_file():
        return "not a regular file"
    return None if format_of(entry.name) else "unsupported format"


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # it has bytes that the system could not decode
        return False
    return True


def _is_hidden(inside: str) -> bool:
    return "/." in f"/{inside}"
