"""Fingerprints of the code, libraries and processor that results depend on.

compose writes each stage's code fingerprint into resolved.yaml. dvc.yaml lists it among the
parameters of the stage, so a change of code re-runs the stages that can run it, and no others.
"""

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cll.config.catalog import PACKAGE
from cll.config.project import Tree
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError

_VECTOR_FLAGS = ("avx2", "fma", "avx512f")  # NumPy and OpenBLAS choose their kernels by these
LIBRARIES = ("numpy", "numba", "llvmlite", "polars", "pyarrow", "scikit-learn", "lightgbm")
_GROUND = ("types", "system", "config", "pipeline/stages.py", "pipeline/input_guard.py")
# For each stage, the packages and files that it can run, besides the chosen components.
ROOMS: Mapping[str, tuple[str, ...]] = {
    "ingest": (*_GROUND, "pipeline/ingest"),
    "featurize": (*_GROUND, "pipeline/dataset", "pipeline/featurize"),
    "train": (
        *(*_GROUND, "model", "components/estimator"),
        *("pipeline/dataset", "pipeline/evaluate", "pipeline/train"),
    ),
    "evaluate": (
        *(
            *_GROUND,
            "model",
            "components/estimator",
        ),  # the champion may have another estimator than the chosen one
        *("pipeline/dataset", "pipeline/evaluate"),
    ),
    "gate": (*_GROUND, "pipeline/gate"),
    "report": (*_GROUND, "pipeline/report"),
}
# For each stage, the config groups whose chosen components it runs.
CHOSEN: Mapping[str, tuple[str, ...]] = {
    "ingest": ("source", "fallback"),
    "featurize": ("features",),
    "train": ("label", "split", "metric", "update"),
    "evaluate": ("label", "split", "metric"),
    "gate": (),
    "report": (),
}


def code(stage: str, tree: Tree) -> str:
    """Return the digest of the code that a stage can run with these choices.

    Line ends count as LF. The digest begins with `v`, since DVC would read `1234e567` as a number.
    """
    targets = {target for group in CHOSEN[stage] for target in _targets(tree.get(group))}
    return _digest(stage, tuple(sorted(targets)))


def codes(tree: Tree) -> dict[str, str]:
    """Return the digest of each stage's code."""
    return {stage: code(stage, tree) for stage in ROOMS}


def changed(tree: Tree) -> list[str]:
    """Return the stages whose code is not the code that resolved.yaml names."""
    composed = tree.get("code", {})
    return [stage for stage, digest in codes(tree).items() if composed.get(stage) != digest]


def refuse_other_code(stage: str, tree: Tree) -> None:
    """Raise ConfigError if the installed code does not match the fingerprint in resolved.yaml."""
    if code_changed(stage, tree):
        raise ConfigError(
            f"resolved.yaml: code.{stage}={tree.get('code', {}).get(stage)}: the code of cll has"
            " changed since; run `cll compose`, then `dvc repro`."
        )


def code_changed(stage: str, tree: Tree) -> bool:
    """Whether the code on disk does not match the fingerprint in resolved.yaml."""
    _digest.cache_clear()
    composed: dict[str, str] = tree.get("code", {})
    return composed.get(stage) != code(stage, tree)


@functools.cache
def _digest(stage: str, targets: tuple[str, ...]) -> str:
    sums = {path.relative_to(PACKAGE).as_posix(): _sum(path) for path in files(stage, targets)}
    return f"v{disk.digest(sums)[:16]}"


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def files(stage: str, targets: Iterable[str]) -> list[Path]:
    """Return the files whose code a stage can run with these components, sorted."""
    paths = {path for name in ROOMS[stage] for path in _python(PACKAGE / name)}
    for target in targets:
        module = PACKAGE.parent.joinpath(*target.split(".")[:-1]).with_suffix(".py")
        paths |= {module, *module.parent.glob("_*.py")}  # its helpers begin with an underscore
    return sorted(path for path in paths if path.is_file())


def _python(path: Path) -> list[Path]:
    """Return the Python files and templates of a package, or one file."""
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.suffix in {".py", ".html", ".md"}]


def _targets(node: Any) -> Iterator[str]:
    """Yield each `_target_` in a subtree of the config."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "_target_" and isinstance(value, str):
                yield value
            yield from _targets(value)
    elif isinstance(node, list):
        for item in node:
            yield from _targets(item)


def libraries() -> dict[str, str]:
    """Return the versions of the libraries on which results depend."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def environment(ws: Workspace) -> dict[str, str]:
    """Return the lock file's digest and the kind of processor, which affect the last bits of results."""
    flags: set[str] = set()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    kind = [platform.machine(), *(flag for flag in _VECTOR_FLAGS if flag in flags)]
    lock = ws.root / "uv.lock"
    return {"cpu": " ".join(kind), "uv.lock": disk.sha256(lock) if lock.is_file() else "none"}
