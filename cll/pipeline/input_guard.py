"""Refusal of a stage's result where its inputs changed while it ran."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cll.types.errors import Busy

Print = dict[str, tuple[int, int]]


@contextlib.contextmanager
def inputs_unchanged(root: Path, stage: str) -> Iterator[None]:
    """Raise Busy when a dependency of `stage` in dvc.yaml is not, at the end, what it was."""
    paths = _inputs(root, stage)
    before = _print(root, paths)
    yield
    after = _print(root, paths)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if changed:
        raise Busy(
            f"{changed[0]} changed while stage {stage} ran, so its result is not recorded; run "
            "`dvc repro` again. What is always being written belongs into a source.path of its own."
        )


def _inputs(root: Path, stage: str) -> list[str]:
    pipeline = yaml.load((root / "dvc.yaml").read_text("utf-8"), yaml.CSafeLoader)
    entry: dict[str, Any] = pipeline["stages"][stage]
    params = [p if isinstance(p, str) else next(iter(p)) for p in entry.get("params", [])]
    return [*entry.get("deps", []), *params]


def _print(root: Path, names: list[str]) -> Print:
    """Size and time of change of each input: as cheap as DVC's own question whether to hash."""
    found: Print = {}
    for name in names:
        path = root / name
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                stat = file.stat()
                found[str(file.relative_to(root))] = (stat.st_size, stat.st_mtime_ns)
    return found
