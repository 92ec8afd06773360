"""Construction of components from YAML, with checks of every key, type and range.

Nothing is imported, built or interpolated before the whole tree has passed `refuse_unsafe`.
"""

import difflib
import functools
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cll.config.catalog import NAMED
from cll.config.safety import refuse_unsafe
from cll.config.yaml_loader import load_yaml as load_yaml  # noqa: PLC0414  also a public name of this module
from cll.types.errors import ConfigError

_STATED = (
    "each metric states itself which value is better; delete this key"
    " (in resolved.yaml: run `dvc repro`)."
)
_REMOVED = {"gate.better": _STATED, "gate.slices.better": _STATED}  # message for each removed key


def build(group: str, node: Mapping[str, Any], where: str | None = None) -> Any:
    """Build the component of a group's subtree of resolved.yaml, checked against its annotations.

    `where` is the key of the subtree, if that is not the group's name.
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
    """Build a dataclass from settings.

    An unknown key or a wrong type or range raises a one-line error.
    """
    adapter, schema = _adapter(kind)
    _refuse_unknown_keys(settings, schema, schema, where)
    try:
        return adapter.validate_json(json.dumps(settings), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
    key = ".".join([where, *(str(part) for part in first["loc"])])
    if first["type"] in {"missing_argument", "missing"}:
        raise ConfigError(f"{key}: no value; give it one.")
    message = first["msg"].removeprefix("Value error, ").rstrip(".").replace("\n", " ")
    value = json.dumps(first["input"], default=str)
    raise ConfigError(f"{key}={value}: {message[0].lower()}{message[1:]}.")


@functools.cache
def _adapter(kind: type) -> tuple[TypeAdapter[Any], dict[str, Any]]:
    """Return the validator and schema of a class, cached: a replay builds components at each tick."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    return adapter, adapter.json_schema()


def refuse_unknown_keys(group: str, choice: Path, settings: Mapping[str, Any]) -> None:
    """Refuse unknown keys among the settings of a choice, even one that is not selected."""
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
    """Compare settings with the schema of a dataclass and of dataclasses nested in it."""
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
    keys = node["properties"]
    for key, inner in value.items():
        if f"{where}.{key}" in _REMOVED:
            raise ConfigError(f"{where}.{key}={inner}: {_REMOVED[f'{where}.{key}']}")
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(keys)}."
            raise ConfigError(f"{where}.{key}: unknown key; {hint}")
        _refuse_unknown_keys(inner, keys[key], schema, f"{where}.{key}")
