"""Checks of all files under conf/, chosen or not, before Hydra reads any."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.plugins.config_source import ConfigSource

from cll.config import catalog, components, resolvers, safety, secret_values
from cll.types.errors import ConfigError, SecurityRefusal

_HEADER_LENGTH = 512  # characters in which Hydra looks for `# @package`
_HYDRA_PACKAGE = re.compile(r"hydra(\..+)?|_group_(\..+)?")


def refuse_unsafe(conf: Path) -> None:
    """Refuse links, and any file with a secret, a resolver, or a target that is not in the catalog."""
    _refuse_links(conf)
    trees = {path: components.load_yaml(path) for path in sorted(conf.rglob("*.y*ml"))}
    by_name = {str(path.relative_to(conf)): tree for path, tree in trees.items()}
    secret_values.refuse(by_name, "", lambda: _names(trees))
    for path, tree in trees.items():
        inner = path.relative_to(conf)
        if inner.parts[0] == "hydra":
            _refuse_unsafe_hydra(path, inner, tree)
        else:
            group = inner.parts[0] if len(inner.parts) > 1 else None
            safety.refuse_unsafe(tree, str(inner), group)


def names(conf: Path) -> set[str]:
    """Return the names of files and keys in conf/, and the words within them, in lower case."""
    return _names({path: components.load_yaml(path) for path in conf.rglob("*.y*ml")})


def _names(trees: Mapping[Path, Any]) -> set[str]:
    listed = {name for path, tree in trees.items() for name in (path.stem, *_keys(tree))}
    listed |= {*catalog.GROUPS}
    words = {word for name in listed for word in re.findall(r"[A-Za-z0-9]+", name)}
    return {name.lower() for name in listed | words}


def _keys(tree: object) -> Iterator[str]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield str(key)
            yield from _keys(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _keys(value)


def _refuse_links(conf: Path) -> None:
    """Refuse links, since Hydra would follow them to files that nobody reviews."""
    inner = [Path(at, name) for at, *kinds in os.walk(conf) for kind in kinds for name in kind]
    for path in [conf, *sorted(inner)]:
        if path.is_symlink():
            raise SecurityRefusal(
                f"{path}: a link, which conf/ may not contain; copy the files there instead."
            )


def _refuse_unsafe_hydra(path: Path, inner: Path, tree: Mapping[str, Any]) -> None:
    """Refuse a file of Hydra's settings that would set other keys, or hold a secret."""
    package = _package(path)
    if package is not None and not _HYDRA_PACKAGE.fullmatch(package):
        raise SecurityRefusal(
            f"{path}: # @package {package}: a file under conf/hydra/ may only set keys below hydra; "
            "write # @package hydra, or move the file."
        )
    for key, value in safety.leaves(tree, str(inner)):
        safety.refuse_unsafe_leaf(key, value, resolvers.NAMES)


def _package(path: Path) -> str | None:
    """Return the package in the header of a file, parsed by Hydra's own function."""
    try:
        text = path.read_text(encoding="utf-8")[:_HEADER_LENGTH]
        return ConfigSource._get_header_dict(text)["package"]  # noqa: SLF001  Hydra's own reading
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; write # @package NAME.") from None
