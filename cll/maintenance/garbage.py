"""List files that no branch, tag or run needs any more, with their size, and delete them."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cll.system import disk, links, manifest, progress
from cll.system.workspace import Workspace
from cll.types.errors import CllError, Unavailable
from cll.vcs.commands import for_child, python

KEEP_DAYS = 30  # age at which folders of runs, and cache entries that they share, are deleted
LEFT_OVER = 3600  # seconds without a change, after which no running process still writes a file
# -w keeps what the workspace uses. DVC's "all commits" are those of HEAD, branches, remotes and tags.
_IN_REACH = ("-w", "-A", "--all-experiments")
_LEFT_OVERS = (
    ".cll/.*.tmp",
    ".cll/*/.making-*",
    ".cll/*/.staging-*",
    ".cll/*/.*.tmp",
    "data/.staging-*",
    "data/*/.*.tmp",
    "data/*/*/.*.tmp",
    "models/*/.*.tmp",
    "registry/.*.tmp",
    "registry/models/.*.tmp",
    "reports/.*.tmp",
    ".*.tmp",
)
_REMOVES = "Removing "  # DVC's line for each file in a dry run
_STEP = 1000


@dataclass(frozen=True)
class Garbage:
    """Files of one kind that can be deleted."""

    where: str
    why: str
    paths: tuple[Path, ...]
    size: int  # bytes on the disk that deleting them frees
    dvc: bool = False  # DVC deletes them, since it knows whether they are still used

    def __str__(self) -> str:
        return f"{self.where}: {len(self.paths):,} of {shown(self.size)}: {self.why}"


def collect(
    root: Path, *, yes: bool = False, keep_days: int = KEEP_DAYS, ask: Callable[[str], bool]
) -> None:
    """Print the files that can be deleted and their size; delete them if `yes`, or if `ask` agrees."""
    kinds = [kind for kind in _find(root, keep_days, time.time()) if kind.paths]
    for kind in kinds:
        _say(f"{kind}.")
    if not kinds:
        _say("Nothing to free.")
        return
    total = shown(sum(kind.size for kind in kinds))
    if yes or ask(f"Free {total}?"):
        for kind in kinds:
            _free(root, kind)
        _say(f"{total} freed.")
    else:
        _say(f"Nothing was freed; `cll gc --yes` frees these {total}.")


def shown(size: float) -> str:
    """Return a number of bytes as text with a unit.

    >>> shown(999), shown(1_500_000)
    ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < _STEP:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= _STEP
    return f"{size:.1f} TB"


def _find(root: Path, keep_days: int, now: float) -> Iterator[Garbage]:
    ws = Workspace(root)
    yield _garbage(".cll/store", "other signals and features than the project's own", _stored(ws))
    yield _garbage(".cll/segments", "pieces of files that data/signals is not made of", _pieces(ws))
    old = [
        path
        for pattern in _LEFT_OVERS
        for path in sorted(root.glob(pattern))
        if now - path.lstat().st_mtime > LEFT_OVER and not links.on_way(root, path.parent)
    ]
    yield _garbage("left over", "files that a stopped process did not finish", old)
    oldest = now - keep_days * 86400
    unused = min(oldest, now - LEFT_OVER)  # entries that are being written stay
    entries = [path for path in _training_entries(root) if _changed_at(path) < unused]
    yield _garbage(".cll/store", f"entries that no training used for {keep_days} days", entries)
    runs = [path for path in _runs(root) if _changed_at(path) < oldest]
    yield _garbage("outputs, multirun", f"runs of more than {keep_days} days ago", runs)
    if (root / ".dvc").is_dir():
        yield _cached(root)


def _garbage(where: str, why: str, paths: Sequence[Path]) -> Garbage:
    return Garbage(where, why, tuple(paths), sum(_size(path) for path in paths))


def _stored(ws: Workspace) -> list[Path]:
    """List cached signals and features that are not the project's current ones."""
    used = [_manifest(folder) for folder in (ws.signals, ws.features)]
    patterns = ("ingest-*", "featurize-*")
    cached = sorted(path for name in patterns for path in (ws.root / ".cll" / "store").glob(name))
    return [path for path in cached if _manifest(path) is None or _manifest(path) not in used]


def _training_entries(root: Path) -> list[Path]:
    """List the cache entries of training; later jobs may share them, so only their age counts."""
    return sorted((root / ".cll" / "store").glob("train-*"))


def _manifest(folder: Path) -> bytes | None:
    path = folder / manifest.MANIFEST
    return path.read_bytes() if path.is_file() else None


def _pieces(ws: Workspace) -> list[Path]:
    """List the pieces that the signals are not made of; none if there are no signals to compare."""
    try:
        used = disk.read_json(ws.signals / manifest.MANIFEST)["facts"]["pieces"]
    except (CllError, KeyError, TypeError):
        return []
    pieces = sorted((ws.root / ".cll" / "segments").glob("[!.]*"))
    return [path for path in pieces if path.name.partition(".")[0] not in used]


def _runs(root: Path) -> list[Path]:
    """List the folders of `cll run`: outputs/DAY/TIME, and multirun/DAY/TIME with its jobs."""
    runs = sorted(p for top in ("outputs", "multirun") for p in (root / top).glob("*/*"))
    return [run for run in runs if not links.on_way(root, run.parent)]


def _changed_at(path: Path) -> float:
    return max(item.lstat().st_mtime for item in (path, *path.rglob("*")))


def _size(path: Path) -> int:
    """Return the bytes that deleting a path frees; files with another hard link free nothing."""
    items = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    stats = [item.lstat() for item in items if item.is_symlink() or item.is_file()]
    return sum(stat.st_size for stat in stats if stat.st_nlink == 1)


def _cached(root: Path) -> Garbage:
    """Return the files that `dvc gc` would delete; none if DVC can't know which are in use."""
    try:
        _refuse_unknown_use(root)
        lines = _run(root, "dvc", "gc", *_IN_REACH, "--dry").splitlines()
    except Unavailable as error:
        progress.say(f"DVC's cache: left as it is: {error}")
        lines = []
    paths = [root / line.removeprefix(_REMOVES) for line in lines if line.startswith(_REMOVES)]
    why = "in no commit of a branch, a tag or a remote, no experiment, and not in the workspace"
    size = sum(path.lstat().st_size for path in paths if path.exists())
    return Garbage("DVC's cache", why, tuple(paths), size, dvc=True)


def _refuse_unknown_use(root: Path) -> None:
    cache = Path(_run(root, "dvc", "cache", "dir").strip())
    if not (root / cache).resolve().is_relative_to(root.resolve()):
        raise Unavailable(f"{cache} is outside the project, so other projects may use it.")
    if stashed := _run(root, "git", "stash", "list").splitlines():
        raise Unavailable(
            f"git stash holds {len(stashed)}, which DVC does not look into; apply or drop."
        )


def _run(root: Path, program: str, *words: str) -> str:
    command = python("dvc") if program == "dvc" else [program]
    done = subprocess.run(  # noqa: S603  our own arguments
        [*command, *words],
        cwd=root,
        env={**for_child(), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        error = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        message = error.removeprefix("ERROR: ").rstrip(".")
        raise Unavailable(f"`{program} {' '.join(words)}` failed: {message}; run it to see more.")
    return done.stdout


def _free(root: Path, garbage: Garbage) -> None:
    if garbage.dvc:
        _run(root, "dvc", "gc", *_IN_REACH, "--force")
        return
    for path in garbage.paths:
        links.refuse_on_way(root, path.parent)
        if path.is_symlink():
            path.unlink()
        else:
            links.remove(path)
    for path in garbage.paths:
        if path.parent.parent.name in {"outputs", "multirun"} and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the output of the command
