"""Fingerprints of what results depend on besides data: code, libraries, processor."""

import importlib.metadata
import platform
from pathlib import Path

from cll.config import catalog, components
from cll.system import disk
from cll.system.workspace import Workspace

_VECTOR_FLAGS = ("avx2", "fma", "avx512f")  # the kernels that NumPy and OpenBLAS choose by


LIBRARIES = ("numpy", "numba", "llvmlite", "polars", "pyarrow", "scikit-learn", "lightgbm")


def code(ws: Workspace, stage: str) -> dict[str, str]:
    """Return the digests of the code that a stage of dvc.yaml can run."""
    pipeline = components.load_yaml(ws.root / "dvc.yaml")["stages"]
    # The code that runs is the package's, wherever the project lies.
    home = catalog.PACKAGE.parent
    deps = [home / dep for dep in pipeline[stage]["deps"] if dep.startswith("cll")]
    files = sorted(f for dep in deps for f in ([dep] if dep.is_file() else dep.glob("*.py")))
    return {f.relative_to(home).as_posix(): disk.sha256(f) for f in files}


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
