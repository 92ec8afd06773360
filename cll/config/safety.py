"""Refusal of secrets, resolvers and foreign targets in a config, before anything is built."""

import math
import re
from collections.abc import Collection, Iterator, Mapping

from cll.config.catalog import COMPONENTS, MODULE, SETTINGS, defined, targets
from cll.config.yaml_loader import load_yaml as load_yaml  # noqa: PLC0414  also a public name of this module
from cll.types.errors import ConfigError, SecurityRefusal

_SECRET_KEY = re.compile(
    r"(?i)(^|_)(password|passwd|secret|token|api_?key|private_key|credentials?)$"
)


_SECRET_VALUE = re.compile(
    r"://[^/\s:@]+:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b"
)


_RESOLVER = re.compile(r"\$\{\s*([\w.]+)\s*:")


def refuse_unsafe(tree: object, where: str, group: str | None = None) -> None:
    """Refuse secrets, resolvers and targets that are not in the catalog, anywhere in `tree`."""
    for key, value in leaves(tree, where):
        if key.rsplit(".", 1)[-1] == "_target_":
            _refuse_target(key, str(value), group)
        refuse_unsafe_leaf(key, value)


def refuse_unsafe_leaf(key: str, value: object, resolvers: Collection[str] = ()) -> None:
    """Refuse a value that is not finite, holds a secret, or uses a resolver other than `resolvers`."""
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
    """Yield each value that is no mapping or list, with its dotted key; refuse keys of secrets."""
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
    """Refuse a key that contains a secret, or whose name announces a secret."""
    at = f"{where}." if where else ""
    if _SECRET_VALUE.search(key):
        raise SecurityRefusal(f"{at}*: a key holds credentials; name an environment variable.")
    if _SECRET_KEY.search(key) and value not in (None, {}, []):
        message = f"a secret may not stand in a config; name an environment variable: {key}_env."
        raise SecurityRefusal(f"{at}{key}: {message}")


def _refuse_target(key: str, target: str, group: str | None) -> None:
    group = group or key.split(".", 1)[0]
    if SETTINGS.get(group) == target:
        return
    match = re.fullmatch(rf"cll\.components\.{re.escape(group)}\.({MODULE})\.([A-Za-z]\w*)", target)
    if group in COMPONENTS and match and match[2] in defined(group, match[1]):
        return
    listed = ", ".join(targets(group)) or "none"
    raise SecurityRefusal(f"{key}={target}: not a component of {group}; there are: {listed}.")
