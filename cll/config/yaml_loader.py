"""Loading of YAML as plain data, without aliases, tags and duplicate keys; errors have a line number."""

import re
from pathlib import Path
from typing import Any

import yaml

from cll.types.errors import ConfigError, SecurityRefusal

# Files that no stage can regenerate. An empty one would otherwise mean defaults, or a new schema.
_WRITTEN = {n.rpartition("/")[2]: n for n in ("params.yaml", "world.yaml", "registry/schema.yaml")}
_BLANK = "\0 \t\r\n"


def load_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file of the project; aliases and tags are refused before they take effect."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; is this the project's folder?") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8.") from None
    if path.name in _WRITTEN and not text.strip(_BLANK):
        raise ConfigError(f"{path}: empty; {_restored(path)}.")
    return parse(path, text)


def parse(path: Path, text: str) -> dict[str, Any]:
    """Parse YAML text as `load_yaml` does; `path` is its origin, for errors."""
    refuse_unsafe_text(path, text)
    try:
        tree = yaml.load(text, Loader=_Loader) or {}  # noqa: S506  a SafeLoader, see _Loader
    except yaml.YAMLError as error:
        raise _not_yaml(path, error) from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: found a {type(tree).__name__}; write a mapping (key: value).")
    return tree


def refuse_unsafe_text(path: Path, text: str) -> None:
    """Refuse aliases, which can expand without limit, and tags, which can build objects.

    Only parser events are read, so nothing is expanded or built.
    """
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            mark, tag = event.start_mark, getattr(event, "tag", None)
            line = mark.line + 1 if mark else 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise SecurityRefusal(f"{path}:{line}: YAML aliases are refused; write it out.")
            if tag:
                raise SecurityRefusal(f"{path}:{line}: the tag {tag} is refused; remove it.")
    except yaml.YAMLError as error:
        raise _not_yaml(path, error) from None


def _not_yaml(path: Path, error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    problem = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
    way = f"; fix it, or {_restored(path)}" if path.name in _WRITTEN else ""
    return ConfigError(f"{path}:{line}: not YAML: {problem}{way}.")


def _restored(path: Path) -> str:
    return f"restore it: `git checkout -- {_WRITTEN[path.name]}`"


class _Loader(yaml.CSafeLoader):
    """A loader with YAML 1.2's scalars where 1.1 is surprising: dates stay text, 1e-5 is a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  PyYAML's signature
        keys: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} occurs twice", key.start_mark
                )
            keys.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
