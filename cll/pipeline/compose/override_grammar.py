"""Conversion of values to Hydra's override grammar."""

import re
from collections.abc import Mapping

from cll.types.errors import ConfigError

_KEY = re.compile(r"[A-Za-z_][\w-]*")


def flatten(key: str, value: object) -> list[str]:
    """Return an override for each leaf of a value, which may be a mapping."""
    if isinstance(value, Mapping) and value:
        return [line for k, v in value.items() for line in flatten(f"{key}.{_plain(k)}", v)]
    return [] if value is None and "." not in key else [f"++{key}={quote(value)}"]


def _plain(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ConfigError(f"params.yaml: set: {key!r} is not a plain key (letters, digits, _).")
    return key


def quote(value: object) -> str:
    """Return a value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_plain(k)}:{quote(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(quote, value)) + "]"
    # Within quotes Hydra takes a backslash literally, unless a quote follows.
    text = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), str(value))
    return f"'{text}'"
