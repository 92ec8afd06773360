"""Selection of the folder that the packages `cll` and `hydra_plugins` are imported from.

A project's folder is not searched for modules: a `queue.py` next to dvc.yaml would be imported in
place of Python's. `python -m` would search it, so dvc.yaml calls the program `cll`, and `cll` starts Python
with `-P`. In an editable install (this repository), the packages are imported from their source
folder and nothing else beside them is; DVC's copies of it, for `dvc exp run --temp` and `--queue`,
run the copy's packages. What lies in the source folder's `hydra_plugins` is code: Hydra imports all
of it.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

PACKAGES = ("cll", "hydra_plugins")
_COPIES = Path(".dvc", "tmp", "exps")
_SOURCE = (
    "pyproject.toml"  # lies next to the packages in the source folder, but not in an environment
)


def experiment() -> Path | None:
    """Return the current folder, if it is DVC's copy of this repository for an experiment."""
    home, here = _home(), Path.cwd()
    if here.is_relative_to(home / _COPIES) and (here / "cll" / "__main__.py").is_file():
        return here
    return None


def search_no_source(copy: Path | None = None) -> None:
    """Import the two packages, and nothing else, from their source folder, or from a copy of it.

    Without a copy, an installed package is imported as Python does it.
    """
    home = _home()
    if copy is None and not (home / _SOURCE).is_file():
        return
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != home]
    if copy is not None:
        for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
            del sys.modules[name]
        _import_package("cll", copy)
    _pin_plugins(copy or home)


def _home() -> Path:
    return Path(__file__).resolve().parents[2]


def _import_package(name: str, home: Path) -> None:
    """Import a package from a folder that is not searched; its modules then come from there, too."""
    spec = PathFinder.find_spec(name, [str(home)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{home / name}: not a package; restore it.")
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)


def _pin_plugins(home: Path) -> None:
    """Let Hydra find its plugins in a folder and in the environment.

    As a namespace package, `hydra_plugins` would be searched for along sys.path again and again.
    """
    installed = PathFinder.find_spec("hydra_plugins")
    others = installed.submodule_search_locations if installed else None
    module = sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
    module.__path__ = [str(home / "hydra_plugins"), *(others or ())]
