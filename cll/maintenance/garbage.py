"""What no commit in reach needs: how much of it lies on this disk, and the way to be rid of it."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cll.system import disk, links, manifest, progress
from cll.system.workspace import Workspace
from cll.types.errors import CllError, Unavailable
from cll.vcs.commands import for_child, python

KEEP_DAYS = 30  # of runs' folders, and of what they share
LEFT_OVER = 3600  # seconds after which nothing that runs still writes there
# -w: what the workspace uses. DVC's "all commits" are those of HEAD, branches, remotes and tags.
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
_GOES = "Removing "  # what DVC says of each file, in a dry run
_STEP = 1000


@dataclass(frozen=True)
class Heap:
    """Things of one kind that can go."""

    where: str
    why: str
    paths: tuple[Path, ...]
    size: int  # bytes on the disk that only they hold
    dvc: bool = False  # DVC removes them, since it knows whether they are still used

    def __str__(self) -> str:
        return f"{self.where}: {len(self.paths):,} of {shown(self.size)}: {self.why}"


def collect(
    root: Path, *, yes: bool = False, keep_days: int = KEEP_DAYS, ask: Callable[[str], bool]
) -> None:
    """Say what can go and how much that is; remove it where `yes`, or where `ask` is answered so."""
    heaps = [heap for heap in _heaps(root, keep_days, time.time()) if heap.paths]
    for heap in heaps:
        _say(f"{heap}.")
    if not heaps:
        _say("Nothing to free.")
        return
    whole = shown(sum(heap.size for heap in heaps))
    if yes or ask(f"Free {whole}?"):
        for heap in heaps:
            _free(root, heap)
        _say(f"{whole} freed.")
    else:
        _say(f"Nothing was freed; `cll gc --yes` frees these {whole}.")


def shown(size: float) -> str:
    """Write a number of bytes for a person.

    >>> shown(999), shown(1_500_000)
    ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < _STEP:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= _STEP
    return f"{size:.1f} TB"


def _heaps(root: Path, keep_days: int, now: float) -> Iterator[Heap]:
    ws = Workspace(root)
    yield _heap(".cll/store", "not as the project's own data stand", _stored(ws))
    yield _heap(".cll/segments", "pieces of files that data/signals is not made of", _pieces(ws))
    old = [
        path
        for pattern in _LEFT_OVERS
        for path in sorted(root.glob(pattern))
        if now - path.lstat().st_mtime > LEFT_OVER and not links.on_way(root, path.parent)
    ]
    yield _heap("left over", "what a process that was stopped had begun to write", old)
    oldest = now - keep_days * 86400
    unused = min(oldest, now - LEFT_OVER)  # one that is being made stays
    shelved = [path for path in _shelved(root) if _touched(path) < unused]
    yield _heap(".cll/store", f"what no training used for {keep_days} days", shelved)
    runs = [path for path in _runs(root) if _touched(path) < oldest]
    yield _heap("outputs, multirun", f"runs of more than {keep_days} days ago", runs)
    if (root / ".dvc").is_dir():
        yield _cached(root)


def _heap(where: str, why: str, paths: Sequence[Path]) -> Heap:
    return Heap(where, why, tuple(paths), sum(_size(path) for path in paths))


def _stored(ws: Workspace) -> list[Path]:
    """List the kept folders that are not the very signals and features of the project."""
    used = [_manifest(folder) for folder in (ws.signals, ws.features)]
    both = ("ingest-*", "featurize-*")
    kept = sorted(path for name in both for path in (ws.root / ".cll" / "store").glob(name))
    return [one for one in kept if _manifest(one) is None or _manifest(one) not in used]


def _shelved(root: Path) -> list[Path]:
    """List what training kept: jobs of the future may share it, so it goes by age."""
    return sorted((root / ".cll" / "store").glob("train-*"))


def _manifest(folder: Path) -> bytes | None:
    path = folder / manifest.MANIFEST
    return path.read_bytes() if path.is_file() else None


def _pieces(ws: Workspace) -> list[Path]:
    """List the pieces that the signals are not made of; without signals, none can be told."""
    try:
        used = disk.read_json(ws.signals / manifest.MANIFEST)["facts"]["pieces"]
    except (CllError, KeyError, TypeError):
        return []
    kept = sorted((ws.root / ".cll" / "segments").glob("[!.]*"))
    return [path for path in kept if path.name.partition(".")[0] not in used]


def _runs(root: Path) -> list[Path]:
    """List the folders of `cll run`: outputs/DAY/TIME, and multirun/DAY/TIME with its jobs."""
    runs = sorted(p for top in ("outputs", "multirun") for p in (root / top).glob("*/*"))
    return [run for run in runs if not links.on_way(root, run.parent)]


def _touched(path: Path) -> float:
    return max(one.lstat().st_mtime for one in (path, *path.rglob("*")))


def _size(path: Path) -> int:
    """Return the bytes that go with a path: what another name still holds stays."""
    found = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    stats = [one.lstat() for one in found if one.is_symlink() or one.is_file()]
    return sum(stat.st_size for stat in stats if stat.st_nlink == 1)


def _cached(root: Path) -> Heap:
    """Ask DVC what it would remove; where it can't know what is in use, nothing goes."""
    try:
        _refuse_unknown_use(root)
        lines = _run(root, "dvc", "gc", *_IN_REACH, "--dry").splitlines()
    except Unavailable as error:
        progress.say(f"DVC's cache: left as it is: {error}")
        lines = []
    paths = [root / line.removeprefix(_GOES) for line in lines if line.startswith(_GOES)]
    why = "in no commit of a branch, a tag or a remote, no experiment, and not in the workspace"
    size = sum(path.lstat().st_size for path in paths if path.exists())
    return Heap("DVC's cache", why, tuple(paths), size, dvc=True)


def _refuse_unknown_use(root: Path) -> None:
    cache = Path(_run(root, "dvc", "cache", "dir").strip())
    if not (root / cache).resolve().is_relative_to(root.resolve()):
        raise Unavailable(f"{cache} is not in the project, so that others may use it.")
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
        lines = done.stderr.strip().splitlines() or ["no word"]
        says = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        told = says.removeprefix("ERROR: ").rstrip(".")
        raise Unavailable(f"`{program} {' '.join(words)}` failed: {told}; run it to see more.")
    return done.stdout


def _free(root: Path, heap: Heap) -> None:
    if heap.dvc:
        _run(root, "dvc", "gc", *_IN_REACH, "--force")
        return
    for path in heap.paths:
        links.refuse_on_way(root, path.parent)
        if path.is_symlink():
            path.unlink()
        else:
            links.remove(path)
    for path in heap.paths:
        if path.parent.parent.name in {"outputs", "multirun"} and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  the answer that was asked for
