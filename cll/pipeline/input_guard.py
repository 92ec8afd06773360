"""Refusal of a stage whose inputs changed while it ran, or whose code is not the installed one.

DVC writes a stage's dependencies into dvc.lock after the command ran. An edit made meanwhile would be
recorded as if the stage had used it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cll.types.errors import Busy, ConfigError

# For each file, its size in bytes and its mtime in nanoseconds.
Stamps = dict[str, tuple[int, int]]


@contextlib.contextmanager
def inputs_unchanged(root: Path, stage: str) -> Iterator[None]:
    """Raise Busy at the end of the block if a dependency of `stage` in dvc.yaml changed within it."""
    paths = _inputs(root, stage)
    before = _stamps(root, paths)
    yield
    after = _stamps(root, paths)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if changed:
        raise Busy(
            f"{changed[0]} changed while stage {stage} ran, so its result is not recorded; run "
            "`dvc repro` again. Write files that change all the time to a folder outside of source.path."
        )


def _inputs(root: Path, stage: str) -> list[str]:
    pipeline = yaml.load((root / "dvc.yaml").read_text("utf-8"), yaml.CSafeLoader)
    entry: dict[str, Any] = pipeline["stages"][stage]
    params = [p if isinstance(p, str) else next(iter(p)) for p in entry.get("params", [])]
    return [*entry.get("deps", []), *params]


def _stamps(root: Path, names: list[str]) -> Stamps:
    """Return size and mtime of each input file, by which DVC, too, decides whether to hash a file."""
    stamps: Stamps = {}
    for name in names:
        path = root / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                stat = file.stat()
                stamps[str(file.relative_to(root))] = (stat.st_size, stat.st_mtime_ns)
    return stamps


def refuse_foreign_package(root: Path, stage: str) -> None:
    """Raise ConfigError if a code file that `stage` depends on in dvc.yaml is not the one that runs.

    DVC would record the project's file, though another, installed `cll` computed the result.
    """
    home = Path(__file__).resolve().parents[2]
    if not (root / "cll").is_dir() or (root / "cll").samefile(home / "cll"):
        return
    for dep in (dep for dep in _inputs(root, stage) if Path(dep).parts[0] == "cll"):
        project, package = (_code(folder, dep) for folder in (root, home))
        for name in sorted(project.keys() | package.keys()):
            if project.get(name) != package.get(name):
                raise ConfigError(
                    f"{name}: is not the code that runs, which is {home / name}; install the"
                    " project's own (`make setup`), and call `dvc` from its .venv/bin."
                )


def _code(folder: Path, dep: str) -> dict[str, bytes]:
    """Return the files of a module or a package below `folder`."""
    files = [folder / dep] if (folder / dep).is_file() else (folder / dep).rglob("*.*")
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in files
        if file.is_file() and "__pycache__" not in file.parts
    }
