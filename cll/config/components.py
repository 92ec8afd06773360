"""The boundary between YAML and code: what a config may name, hold and say.

Nothing is imported, built or interpolated before the whole tree has passed `refuse_unsafe`.
"""

import ast
import difflib
import functools
import importlib
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from pydantic import TypeAdapter, ValidationError

from cll.config.yaml_loader import load_yaml as load_yaml  # noqa: PLC0414  a part of what config is asked for
from cll.types.errors import ConfigError, SecurityRefusal

PACKAGE = Path(__file__).parents[1]
COMPONENTS = (
    *("source", "features", "label", "split", "estimator", "metric", "mirror"),
    *("trigger", "update"),
)
NAMED = {"metric", "trigger"}  # groups of several components, each under a name of its own
SETTINGS = {  # groups that set up a step; the other groups choose a component
    "ingest": "cll.pipeline.ingest.schema.rules.Enforcement",
    "train": "cll.pipeline.train.fit.Settings",
    "evaluate": "cll.pipeline.evaluate.evaluate.Settings",
    "gate": "cll.pipeline.gate.gate.Settings",
    "replay": "cll.replay.tick_grid.Settings",
    "release": "cll.release.policy.Settings",
}
GROUPS = (*COMPONENTS, *SETTINGS)

_SECRET_KEY = re.compile(
    r"(?i)(^|_)(password|passwd|secret|token|api_?key|private_key|credentials?)$"
)
_SECRET_VALUE = re.compile(
    r"://[^/\s:@]+:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b"
)
_STATED = (
    "each metric states itself which value is better; delete this key"
    " (in resolved.yaml: run `dvc repro`)."
)
_REMOVED = {"gate.better": _STATED, "gate.slices.better": _STATED}  # keys, and the way out
_MODULE = r"[a-z][a-z0-9_]*"
_RESOLVER = re.compile(r"\$\{\s*([\w.]+)\s*:")


def refuse_unsafe(tree: object, where: str, group: str | None = None) -> None:
    """Refuse secrets, resolvers and targets off the list, anywhere in `tree`, by name."""
    for key, value in leaves(tree, where):
        if key.rsplit(".", 1)[-1] == "_target_":
            _refuse_target(key, str(value), group)
        refuse_unsafe_leaf(key, value)


def refuse_unsafe_leaf(key: str, value: object, resolvers: Collection[str] = ()) -> None:
    """Refuse one value that is no finite number, holds a secret, or asks for another resolver."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key}={value}: not a finite number; write one.")
    if isinstance(value, str):
        refuse_unsafe_string(key, value, resolvers)


def refuse_unsafe_string(where: str, text: str, resolvers: Collection[str] = ()) -> None:
    """Refuse a string that would read the environment or the clock, or that holds a secret."""
    for name in _RESOLVER.findall(text):
        if name not in resolvers:
            raise resolver_refusal(where, name)
    if _SECRET_VALUE.search(text):
        raise SecurityRefusal(
            f"{where}: the value holds credentials; name an environment variable instead."
        )


def resolver_refusal(where: str, name: str) -> SecurityRefusal:
    """Return the error for `${name:...}` at `where`."""
    return SecurityRefusal(
        f"{where}: ${{{name}:...}} is refused; only ${{key}} of the config may be named."
    )


def leaves(tree: object, where: str) -> Iterator[tuple[str, object]]:
    """Yield each value that is no mapping or list, by its dotted key; refuse a key of a secret."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            _refuse_secret_key(str(key), value, where)
            yield from leaves(value, f"{where}.{key}" if where else str(key))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from leaves(value, f"{where}[{index}]")
    else:
        yield where, tree


def _refuse_secret_key(key: str, value: object, where: str) -> None:
    """Refuse a key that holds a secret, or that a secret would stand under."""
    at = f"{where}." if where else ""
    if _SECRET_VALUE.search(key):
        raise SecurityRefusal(f"{at}*: a key holds credentials; name an environment variable.")
    if _SECRET_KEY.search(key) and value not in (None, {}, []):
        says = f"a secret may not stand in a config; name an environment variable: {key}_env."
        raise SecurityRefusal(f"{at}{key}: {says}")


def _refuse_target(key: str, target: str, group: str | None) -> None:
    group = group or key.split(".", 1)[0]
    if SETTINGS.get(group) == target:
        return
    match = re.fullmatch(
        rf"cll\.components\.{re.escape(group)}\.({_MODULE})\.([A-Za-z]\w*)", target
    )
    if group in COMPONENTS and match and match[2] in _defined(group, match[1]):
        return
    listed = ", ".join(targets(group)) or "none"
    raise SecurityRefusal(f"{key}={target}: not a component of {group}; there are: {listed}.")


@functools.cache
def _defined(group: str, module: str) -> tuple[str, ...]:
    """List what a component's file defines itself, by reading it, not by importing it."""
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
    """List what a `_target_` of this group may name."""
    if group in SETTINGS:
        return [SETTINGS[group]]
    modules = sorted(p.stem for p in (PACKAGE / "components" / group).glob("[a-z]*.py"))
    return [f"cll.components.{group}.{m}.{name}" for m in modules for name in _defined(group, m)]


def component_module(group: str, name: str) -> ModuleType:
    """Import the module of a component by its name, if its file is there."""
    if (
        not re.fullmatch(_MODULE, name)
        or not (PACKAGE / "components" / group / f"{name}.py").is_file()
    ):
        raise SecurityRefusal(f"{group}={name}: no such component in cll/components/{group}/.")
    return importlib.import_module(f"cll.components.{group}.{name}")


def without_paths(tree: Any) -> Any:
    """Return settings with each component's name (`is: lightgbm`) in place of its Python path.

    A model's lineage is written so: its model_id stays the same wherever the code is moved.
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
    """Return settings that a lineage quotes with the component's path again, so they can be built.

    Raises SecurityRefusal where no component of the group has that name.
    """
    name = str(node.get("is"))
    classes = _defined(group, name) if re.fullmatch(_MODULE, name) else ()
    if len(classes) != 1:
        raise SecurityRefusal(
            f"{group}.is={name}: no component of {group} has this name; use the version of cll"
            " that made the model."
        )
    settings = {key: value for key, value in node.items() if key != "is"}
    return {"_target_": f"cll.components.{group}.{name}.{classes[0]}", **settings}


def build(group: str, node: Mapping[str, Any], where: str | None = None) -> Any:
    """Build what a group's subtree of resolved.yaml names, checked against its annotations.

    `where` it stands is told where it is not the group's own place.
    """
    refuse_unsafe(node, where or group, group)
    if group in NAMED:
        return {name: _build_one(f"{group}.{name}", entry) for name, entry in node.items()}
    return _build_one(where or group, node)


def _build_one(where: str, node: Mapping[str, Any]) -> Any:
    target = _target(where, node)
    settings = {key: value for key, value in node.items() if key != "_target_"}
    if not isinstance(target, type):
        if settings:
            raise ConfigError(
                f"{where}.{next(iter(settings))}: {target.__name__} takes no settings."
            )
        return target
    return validate(target, settings, where)


def validate(kind: type, settings: Mapping[str, Any], where: str) -> Any:
    """Make a `kind` of settings: unknown keys, wrong types and ranges are one-line errors."""
    adapter, schema = _adapter(kind)
    _refuse_unknown_keys(settings, schema, schema, where)
    try:
        return adapter.validate_json(json.dumps(settings), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
    key = ".".join([where, *(str(part) for part in first["loc"])])
    if first["type"] in {"missing_argument", "missing"}:
        raise ConfigError(f"{key}: no value; give it one.")
    says = first["msg"].removeprefix("Value error, ").rstrip(".").replace("\n", " ")
    value = json.dumps(first["input"], default=str)
    raise ConfigError(f"{key}={value}: {says[0].lower()}{says[1:]}.")


@functools.cache
def _adapter(kind: type) -> tuple[TypeAdapter[Any], dict[str, Any]]:
    """Make what checks a `kind`, once: a replay builds its components anew at each tick."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    return adapter, adapter.json_schema()


def refuse_unknown_keys(group: str, choice: Path, settings: Mapping[str, Any]) -> None:
    """Refuse settings that a choice, in force or not, has no such key for."""
    node = {**load_yaml(choice), **settings}
    refuse_unsafe(node, group, group)
    if group not in NAMED:
        kind = _target(group, node)
        _, schema = _adapter(kind)
        _refuse_unknown_keys(settings, schema, schema, group)


def _target(where: str, node: object) -> Any:
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise ConfigError(f"{where}: names no component; give it a _target_.")
    module, _, attribute = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _refuse_unknown_keys(value: object, node: Any, schema: Any, where: str) -> None:
    """Walk settings beside the schema of a dataclass and of those nested in it."""
    for option in [*node.get("anyOf", ()), *node.get("allOf", ())]:
        if "$ref" in option:
            node = option
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    if isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_unknown_keys(item, node.get("items", {}), schema, f"{where}[{index}]")
    if not isinstance(value, Mapping) or "properties" not in node:
        return
    known = node["properties"]
    for key, inner in value.items():
        if f"{where}.{key}" in _REMOVED:
            raise ConfigError(f"{where}.{key}={inner}: {_REMOVED[f'{where}.{key}']}")
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}."
            raise ConfigError(f"{where}.{key}: unknown key; {hint}")
        _refuse_unknown_keys(inner, known[key], schema, f"{where}.{key}")
