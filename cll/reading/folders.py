"""Which files a path and its patterns name, and what was passed over there, and why."""

import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch, translate
from functools import cache
from pathlib import Path

from cll.reading.formats import format_of

_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Listed:
    """Sorted by name."""

    files: tuple[Path, ...]
    skipped: tuple[str, ...]  # "runs/old.csv: a symlink"


def exists(path: str) -> bool:
    """Tell whether `path`, a folder, a file or a glob, names anything."""
    return next(_bases(path), None) is not None


def listed(path: str, patterns: Sequence[str]) -> Listed:
    """List the files under `path` that fit one of `patterns` and have an ending that is read here.

    Symlinks, pipes and devices are passed over, as are names that start with a dot.
    """
    files: set[Path] = set()
    skipped: set[str] = set()
    is_link = cache(Path.is_symlink)  # most files lie in few folders
    for found, inside in _candidates(path, patterns):
        why = _unfit(found, inside, is_link)
        if why is None:
            files.add(found)
        elif why:
            shown = found.as_posix().encode(errors="backslashreplace").decode()
            skipped.add(f"{shown}: {why}")
    return Listed(tuple(sorted(files, key=Path.as_posix)), tuple(sorted(skipped)))


def fits(path: str, patterns: Sequence[str], file: str) -> bool:
    """Tell whether a file would be listed, were it there.

    >>> fits("runs", ["**/*.csv"], "runs/may/a.csv"), fits("runs", ["*"], "runs/may/a.csv")
    (True, False)
    """
    wanted = [f"{path}/{pattern}" for pattern in patterns]
    if any(fnmatch(Path(file).name, Path(pattern).name) for pattern in patterns):
        wanted.append(path)
    inside = [*Path(file).parts[len(Path(path).parts) :], Path(file).name]
    hidden = any(part.startswith(".") for part in inside)
    return not hidden and format_of(file) is not None and any(_names(one, file) for one in wanted)


def _names(pattern: str, file: str) -> bool:
    texts = [
        r"(?:[^/]+/)*" if part == "**" else translate(part)[4:-3].replace(".*", "[^/]*") + "/"
        for part in Path(pattern).as_posix().split("/")
    ]
    return re.fullmatch("".join(texts), Path(file).as_posix() + "/") is not None


def _bases(path: str) -> Iterator[Path]:
    """Yield what a path or glob names; only the part before the first wildcard is taken as is."""
    parts = Path(path).parts
    fixed = next((i for i, part in enumerate(parts) if _MAGIC & set(part)), len(parts))
    base = Path(*parts[:fixed])
    if fixed == len(parts) or Path(path).exists():
        yield from [Path(path)] if Path(path).exists() else []
    else:
        yield from base.glob(str(Path(*parts[fixed:])))


def _candidates(path: str, patterns: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Yield each path with its part below the base."""
    for base in _bases(path):
        if base.is_dir():
            found = (one for pattern in patterns for one in base.glob(pattern))
            yield from ((one, one.relative_to(base)) for one in found)
        elif any(fnmatch(base.name, Path(pattern).name) for pattern in patterns):
            yield base, Path(base.name)


def _unfit(path: Path, inside: Path, is_link: Callable[[Path], bool]) -> str | None:
    """Return why a path is passed over: "" for what needs no word, None where it is not."""
    if any(part.startswith(".") for part in inside.parts):
        return ""
    if any("\udc80" <= letter <= "\udcff" for letter in str(path)):
        return "a name that is not UTF-8"
    mode = _mode(path)
    if stat.S_ISLNK(mode) or any(map(is_link, list(path.parents)[: len(inside.parts) - 1])):
        return "a symlink"
    if stat.S_ISDIR(mode):
        return ""
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return None if format_of(path.name) else "no format that is read here"


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:  # since it was listed
        return 0
