"""Repair of files that a kill or a full disk left empty, cut off or stale, if they can be made again.

DVC rewrites dvc.lock and .dvc/tmp/rwlock, its list of running processes, in place, so that a kill
can leave either of them empty; DVC then refuses every command. A dvc.lock that DVC can
read is never changed, and no file of DVC is while a process of DVC runs.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from cll.system import disk, locks, progress
from cll.types.errors import Busy, CllError
from cll.vcs import git

BEFORE = Path(".cll") / "before-tick"  # names the commit and the tree to go back to
_LOCK, _RWLOCK, _BTIME = Path("dvc.lock"), Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/btime")
_HELD = (
    Path(".dvc/tmp/lock"),
    Path(".dvc/tmp/rwlock.lock"),
)  # locks that DVC holds while it writes them
_STATE = ("tick.json", "loop.json")
_STAGES = ("resolved.yaml", "metrics.json", "reports/*.json", "models/candidate/model.json")
_BLANK = b"\0 \t\r\n"  # a file that a crash of the machine left can hold zeros alone
_CONFLICT = re.compile(rb"^<{7} ", re.MULTILINE)
_IDS = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64}")
_DATABASE = re.compile(
    r"unexpected error - (database disk image is malformed|file is not a database|Disk\.__init__)"
    r"|Could not open pickled"
)


@dataclass(frozen=True)
class Damage:
    """A damaged file: the finding, the remedy, and the function that applies it."""

    finding: str
    remedy: str
    repair: Callable[[], object]


@dataclass(frozen=True)
class _Process:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    pid: int
    cmd: str


@dataclass(frozen=True)
class _Running:
    """DVC's list of the processes that read and write each path."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    read: dict[str, list[_Process]] = field(default_factory=dict)
    write: dict[str, _Process] = field(default_factory=dict)

    @property
    def processes(self) -> list[_Process]:
        return [*self.write.values(), *(reader for each in self.read.values() for reader in each)]


@dataclass(frozen=True)
class _File:
    path: str
    md5: str = ""
    hash: str = ""
    size: int = 0
    nfiles: int = 0


@dataclass(frozen=True)
class _Stage:
    cmd: str
    deps: list[_File] = field(default_factory=list)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    outs: list[_File] = field(default_factory=list)


@dataclass(frozen=True)
class _Lock:
    """The form of a dvc.lock as DVC writes it."""

    schema: Literal["2.0"]
    stages: dict[str, _Stage]


_RUNNING, _LOCKED = TypeAdapter(_Running), TypeAdapter(_Lock)


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Repair damaged files and hold the project's lock; raise Busy if another process holds it."""
    with locks.only_one(root):
        heal(root)
        yield


def heal(root: Path) -> None:
    """Repair damaged files and print a note on each; the caller holds the project's lock."""
    with _alone(root) as idle:
        for damage in (*_state(root), *(_made(root) if idle else ())):
            damage.repair()
            progress.note(f"repair: {damage.finding}; {damage.remedy}.")


def damages(root: Path) -> list[Damage]:
    """Return the damages that `heal` would repair, without changing anything."""
    idle = not any(locks.is_held(root / path) for path in _HELD)
    return [*_state(root), *(_made(root) if idle else ())]


def databases(root: Path, reason: str) -> str:
    """Make DVC start new databases of hashes and links, if damage to them caused a failure.

    The name of their folder depends on the mtime of a file, so a new mtime is enough. Return a
    note, which is empty if the failure has another reason.
    """
    if not (_DATABASE.search(reason) and (root / _BTIME).is_file()):
        return ""
    (root / _BTIME).touch()
    return f"repair: a database of DVC is damaged ({reason}); DVC starts a new one and hashes all files again."


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[bool]:
    """Hold DVC's own locks; yield False if a process of DVC holds one of them."""
    with contextlib.ExitStack() as stack:
        idle = True
        try:
            for path in _HELD if (root / _RWLOCK.parent).is_dir() else ():
                stack.enter_context(locks.alone(root / path, "A process of DVC is running."))
        except Busy:
            idle = False
        yield idle


def _state(root: Path) -> Iterator[Damage]:
    """Yield damage in the state files of ticks and of the loop, which the next tick rewrites."""
    for path in (root / ".cll" / name for name in _STATE):
        if path.is_file() and (finding := _finding(path, path.read_bytes())):
            yield Damage(f".cll/{path.name}: {finding}", "removed", path.unlink)
    path = root / BEFORE
    if path.is_file() and not _IDS.fullmatch(path.read_bytes()):
        remedy = "removed; files of an interrupted tick stay"
        yield Damage(f"{BEFORE}: names no commit and tree", remedy, path.unlink)


def _made(root: Path) -> Iterator[Damage]:
    """Yield damage in files of DVC and the stages; yield nothing while a process of DVC runs."""
    path, running = root / _RWLOCK, _running(root / _RWLOCK)
    if running is None:
        yield Damage(f"{_RWLOCK}: empty, cut off or damaged", "removed", path.unlink)
    elif any(_is_at_work(process, path.stat().st_mtime) for process in running.processes):
        return
    elif running.processes:
        yield Damage(f"{_RWLOCK}: names only processes that have ended", "removed", path.unlink)
    for made in (path for name in (str(_LOCK), *_STAGES) for path in sorted(root.glob(name))):
        if finding := _finding(made, made.read_bytes()):
            yield _again(root, made, finding)


def _running(path: Path) -> _Running | None:
    """Read DVC's list of running processes; return None if it is damaged."""
    try:
        return _RUNNING.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        return _Running()
    except ValidationError:
        return None


def _is_at_work(process: _Process, listed: float) -> bool:
    """Return whether a process that DVC had listed at time `listed` still runs.

    After a restart of the machine or container, another process may have the same id.
    """
    import psutil  # noqa: PLC0415  only where processes are listed

    try:
        running = psutil.Process(process.pid)
        if running.status() == psutil.STATUS_ZOMBIE:
            return False
        return running.create_time() <= listed or any("dvc" in word for word in running.cmdline())
    except (psutil.NoSuchProcess, ValueError):
        return False
    except psutil.AccessDenied:
        return True


def _again(root: Path, path: Path, finding: str) -> Damage:
    """Plan to restore a damaged file from git if git's version is intact, else to remove it."""
    name = path.relative_to(root)
    aside = root / ".cll" / f"damaged-{path.name}"
    before = _committed(root, name)
    whole = bool(before) and not _finding(path, before)

    def repair() -> None:
        aside.parent.mkdir(exist_ok=True)
        path.replace(aside)
        if whole:
            disk.write_bytes(path, before)

    remedy = "restored from git's HEAD" if whole else "removed, so that it is made again"
    return Damage(f"{name}: {finding}", f"{remedy} (it was moved to .cll/{aside.name})", repair)


def _committed(root: Path, name: Path) -> bytes:
    try:
        return git.read_file(root, "HEAD", name.as_posix()) if git.has_commit(root) else b""
    except CllError:
        return b""


def _finding(path: Path, data: bytes) -> str:
    """Return the damage in a file's bytes; empty for a sound file and for a merge conflict."""
    if not data.strip(_BLANK):
        return "empty"
    if _CONFLICT.search(data):
        return ""
    try:
        tree = json.loads(data) if path.suffix == ".json" else yaml.load(data, yaml.CSafeLoader)
        if path.name == _LOCK.name:
            _LOCKED.validate_json(json.dumps(tree, default=str), strict=True)
    except (ValueError, yaml.YAMLError):  # ValidationError is a ValueError
        return "" if path.name == _LOCK.name and _reads(data) else "cut off or damaged"
    return "" if isinstance(tree, dict) and tree else "damaged: it holds no mapping"


def _reads(lock: bytes) -> bool:
    """Return whether DVC's own schema accepts a dvc.lock."""
    from dvc.exceptions import DvcException  # noqa: PLC0415  a quarter of a second
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # noqa: PLC0415  as above
    from dvc.utils import strictyaml  # noqa: PLC0415  as above
    from dvc.utils.serialize import parse_yaml  # noqa: PLC0415  as above

    try:
        strictyaml.validate(parse_yaml(lock.decode(), str(_LOCK)), COMPILED_LOCKFILE_SCHEMA)
    except (DvcException, UnicodeDecodeError):
        return False
    return True
