"""Catalog of the components and settings that a config may name."""

import ast
import functools
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from cll.config.yaml_loader import load_yaml as load_yaml  # noqa: PLC0414  also a public name of this module
from cll.types.errors import SecurityRefusal

PACKAGE = Path(__file__).parents[1]


COMPONENTS = (
    *("source", "features", "label", "split", "estimator", "metric", "mirror"),
    *("trigger", "update"),
)


NAMED = {"metric", "trigger"}  # groups of several components, each under a name of its own


SETTINGS = {  # groups that set up a step; the other groups choose a component
    "ingest": "cll.pipeline.ingest.schema.rules.Enforcement",
    "train": "cll.pipeline.train.fit.TrainSettings",
    "evaluate": "cll.pipeline.evaluate.evaluate.EvaluateSettings",
    "gate": "cll.pipeline.gate.gate.GateSettings",
    "replay": "cll.replay.tick_grid.ReplaySettings",
    "release": "cll.release.policy.ReleaseSettings",
}


GROUPS = (*COMPONENTS, *SETTINGS)


MODULE = r"[a-z][a-z0-9_]*"


@functools.cache
def defined(group: str, module: str) -> tuple[str, ...]:
    """Return the public components that a file defines, read from its source without importing it."""
    path = PACKAGE / "components" / group / f"{module}.py"
    if not path.is_file():
        return ()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    fits = _is_plain_function if group == "metric" else _is_callable_class
    return tuple(n.name for n in body if fits(n) and not n.name.startswith("_"))


def _is_plain_function(node: ast.stmt) -> TypeGuard[ast.FunctionDef | ast.ClassDef]:
    return isinstance(node, ast.FunctionDef)


def _is_callable_class(node: ast.stmt) -> TypeGuard[ast.FunctionDef | ast.ClassDef]:
    if not isinstance(node, ast.ClassDef):
        return False
    return any(isinstance(n, ast.FunctionDef) and n.name == "__call__" for n in node.body)


def targets(group: str) -> list[str]:
    """Return the paths that a `_target_` of this group may name."""
    if group in SETTINGS:
        return [SETTINGS[group]]
    modules = sorted(p.stem for p in (PACKAGE / "components" / group).glob("[a-z]*.py"))
    return [f"cll.components.{group}.{m}.{name}" for m in modules for name in defined(group, m)]


def component_module(group: str, name: str) -> ModuleType:
    """Import the module of a component by name; raise SecurityRefusal if it has no file."""
    if (
        not re.fullmatch(MODULE, name)
        or not (PACKAGE / "components" / group / f"{name}.py").is_file()
    ):
        raise SecurityRefusal(f"{group}={name}: no such component in cll/components/{group}/.")
    return importlib.import_module(f"cll.components.{group}.{name}")


def without_paths(tree: Any) -> Any:
    """Return settings with each component's name (`is: lightgbm`) in place of its Python path.

    A model's lineage is written in this form, so its model_id does not change when code is moved.
    """
    if isinstance(tree, list):
        return [without_paths(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    named = {key: without_paths(value) for key, value in tree.items() if key != "_target_"}
    if "_target_" not in tree or tree["_target_"] in SETTINGS.values():
        return named
    return {"is": tree["_target_"].split(".")[-2], **named}


def with_path(group: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings from a lineage with the component's path, so that they can be built.

    Raises SecurityRefusal where no component of the group has that name.
    """
    name = str(node.get("is"))
    classes = defined(group, name) if re.fullmatch(MODULE, name) else ()
    if len(classes) != 1:
        raise SecurityRefusal(
            f"{group}.is={name}: no component of {group} has this name; use the version of cll"
            " that made the model."
        )
    settings = {key: value for key, value in node.items() if key != "is"}
    return {"_target_": f"cll.components.{group}.{name}.{classes[0]}", **settings}
