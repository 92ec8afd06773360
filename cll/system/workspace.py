"""Where a run reads and writes, and what its results depend on."""

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cll.config import components
from cll.system import disk
from cll.system.stat_cache import Memo
from cll.types.errors import ConfigError

Tree = Mapping[str, Any]
_VECTOR_FLAGS = ("avx2", "fma", "avx512f")  # the kernels that NumPy and OpenBLAS choose by
LIBRARIES = ("numpy", "numba", "llvmlite", "polars", "pyarrow", "scikit-learn", "lightgbm")


@dataclass(frozen=True)
class Workspace:
    """Where a run reads and writes: the project's folder, or a folder of its own (`out`).

    One that is `apart` takes over nothing that was computed before: it proves what is there. One
    that is only `looking` is asked, and remembers nothing.
    """

    root: Path
    out: Path | None = None
    signals_folder: Path | None = None
    features_folder: Path | None = None
    apart: bool = False
    looking: bool = False

    @property
    def results(self) -> Path:
        return self.out or self.root

    @property
    def cache(self) -> Path:
        """Where lies what can be lost, for it can be made again."""
        return (self.results if self.apart else self.root) / ".cll"

    def seeds(self, name: str) -> list[Path]:
        """Where partitions may lie that need not be made again: those of `dvc repro`."""
        return [] if self.apart else [self.root / "data" / name]

    @property
    def signals(self) -> Path:
        return self.signals_folder or self.results / "data" / "signals"

    @property
    def features(self) -> Path:
        return self.features_folder or self.results / "data" / "features"

    @property
    def candidate(self) -> Path:
        return self.results / "models" / "candidate"

    @property
    def reports(self) -> Path:
        return self.results / "reports"

    @property
    def draws(self) -> Path:
        """The candidate's figures in each replicate: what a paired difference is made of."""
        return self.reports / "draws.csv"

    @property
    def resolved(self) -> Path:
        return self.results / "resolved.yaml"

    def released(self, model_id: str) -> Path:
        """Find the folder of a model that was released."""
        return self.root / "registry" / "models" / model_id


def load_world(ws: Workspace) -> components.World:
    """Read what is known now."""
    return components.load_world(ws.root / "world.yaml")


def load_tree(ws: Workspace) -> Tree:
    """Read what was composed."""
    return components.load_yaml(ws.resolved)


def code(ws: Workspace, stage: str) -> dict[str, str]:
    """Return the digests of the code that a stage of dvc.yaml can run."""
    pipeline = components.load_yaml(ws.root / "dvc.yaml")["stages"]
    # The code that runs is the package's, wherever the project lies.
    home = components.PACKAGE.parent
    deps = [home / dep for dep in pipeline[stage]["deps"] if dep.startswith("cll")]
    files = sorted(f for dep in deps for f in ([dep] if dep.is_file() else dep.glob("*.py")))
    return {f.relative_to(home).as_posix(): disk.sha256(f) for f in files}


def memo(ws: Workspace) -> Memo:
    """Return what is remembered of files that did not change."""
    return Memo(ws.cache / "memo.json", kept=not ws.looking)


def libraries() -> dict[str, str]:
    """List the versions of the libraries that decide on bytes."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def environment(ws: Workspace) -> dict[str, str]:
    """Say what decides on the last bits besides the inputs: lock file, and kind of processor."""
    flags: set[str] = set()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    kind = [platform.machine(), *(flag for flag in _VECTOR_FLAGS if flag in flags)]
    lock = ws.root / "uv.lock"
    return {"cpu": " ".join(kind), "uv.lock": disk.sha256(lock) if lock.is_file() else "none"}
