"""Refusal of symbolic links among the paths that the project writes.

Through a link, files outside of the project would be changed. A clone can contain links, so whoever
runs the stages did not necessarily choose them. Paths that are only read, such as a source's folder,
may be links.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from cll.types.errors import SecurityRefusal

FILES = ("dvc.lock", "metrics.json", "resolved.yaml", "world.yaml")
# Outputs of which DVC may keep single files as links to its cache (`cache.type: symlink`). A file
# is replaced as a whole, so such a link is never written through; one to a folder would be.
CACHED = ("data/features", "data/signals", "models/candidate", "reports/plots")
_CACHED_FILES = ("reports/report.html",)
# Folders in which no entry may be a link.
STRICT = (
    ".cll",
    ".cll/locks",
    ".cll/segments",
    ".cll/store",
    "multirun",
    "outputs",
    "registry",
    "registry/models",
    "reports",
)
# Folders that also hold files of the user, such as data/raw: only the folder itself is checked.
SHARED = ("data", "models")
OWNED = (*SHARED, *STRICT, *CACHED, *FILES)


def refuse(root: Path) -> None:
    """Raise SecurityRefusal for a link among the paths that stages and commands write."""
    for name in OWNED:
        if (root / name).is_symlink():
            raise _refusal(root / name)
    for name in STRICT:
        refuse_inside(root / name, but=_CACHED_FILES if name == "reports" else ())
    for name in CACHED:
        refuse_folders_inside(root / name)


def refuse_inside(folder: Path, but: tuple[str, ...] = ()) -> None:
    """Raise SecurityRefusal for a link that lies directly in a folder, if the folder exists."""
    for link in _links(folder):
        if not (link.as_posix().endswith(but) and link.is_file()):
            raise _refusal(link)


def refuse_folders_inside(folder: Path) -> None:
    """Raise SecurityRefusal for a link that lies directly in a folder and leads to no file."""
    for link in _links(folder):
        if not link.is_file():
            raise _refusal(link)


def refuse_on_way(root: Path, path: Path) -> None:
    """Raise SecurityRefusal where a path below `root`, or a folder between both, is a link.

    A path outside of `root` is not checked, since a user named it.
    """
    if link := on_way(root, path):
        raise _refusal(link)


def on_way(root: Path, path: Path) -> Path | None:
    """Return the first link among a path below `root` and the folders between both."""
    top, bottom = _absolute(root), _absolute(path)
    if not bottom.is_relative_to(top):
        return None
    parts = bottom.relative_to(top).parts
    steps = (root.joinpath(*parts[: count + 1]) for count in range(len(parts)))
    return next((step for step in steps if step.is_symlink()), None)


def remove(path: Path, *, ignore_errors: bool = False) -> None:
    """Remove a file or a folder if it exists; refuse if the path contains a link.

    Below the current folder, each folder of the path is checked. Elsewhere only the last folder and
    the path itself are.
    """
    here, bottom = Path.cwd(), _absolute(path)
    refuse_on_way(here if bottom.is_relative_to(here) else bottom.parent.parent, bottom)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=ignore_errors)
    else:
        path.unlink(missing_ok=True)


def open_text(path: Path, mode: str) -> TextIO:
    """Open a text file to write or append to it, unless it is a link."""
    # Path.open takes no opener.
    return open(path, mode, encoding="utf-8", opener=_no_link)  # type: ignore[return-value]


def _no_link(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError:
        if Path(path).is_symlink():
            raise _refusal(Path(path)) from None
        raise


def _links(folder: Path) -> Iterator[Path]:
    """Yield the links directly in a folder, in the order of their names."""
    try:
        with os.scandir(folder) as entries:
            yield from sorted(Path(entry.path) for entry in entries if entry.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return


def _absolute(path: Path) -> Path:
    """Return the path without `..`, with its links as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.resolve would follow links


def _refusal(path: Path) -> SecurityRefusal:
    return SecurityRefusal(
        f"{path}: is a link to {path.readlink()}, so files outside of the project would be changed; "
        "remove the link. To use another disk, mount it there (`mount --bind`) or move the project."
    )
