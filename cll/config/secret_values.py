"""Refusal of configs that contain the value of a secret environment variable.

A tool that ran before `cll` may have put such a value into params.yaml: `dvc exp run -S` replaces
`${oc.env:NAME}` by the variable's value. Only a comparison with the environment can see that.
"""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from urllib.parse import unquote

from cll.types.errors import SecurityRefusal

LEAST_LENGTH = 8  # a shorter value can occur in a config by chance
_SECRET_NAME = re.compile(
    r"(?i)passw|passphrase|secret|token|credential|api_?key"
    r"|(^|_)(pass|key|auth|pat|dsn|cookie|jwt)(_|$)|_pwd(_|$)"
)
_PLACE_NAME = re.compile(r"(?i)_(file|path|dir|sock)$")  # SSH_AUTH_SOCK, POSTGRES_PASSWORD_FILE


def refuse(tree: object, where: str, names: Callable[[], Collection[str]]) -> None:
    """Refuse a key or value of `tree` that equals or contains a secret variable's value.

    `names` returns the config's own names, in lower case; a value equal to one of them is allowed.
    It is called only if a secret's value occurs in the tree.
    """
    secrets = _secrets()
    if not secrets:
        return
    for place, text in _texts(tree, where):
        for name, value in secrets.items():
            if _holds(text, value) and value.lower() not in names():
                at = f"{place}: " if place else ""
                raise SecurityRefusal(
                    f"{at}the value of the environment variable {name} may not stand in a config; "
                    "name the variable instead."
                )


def _secrets() -> dict[str, str]:
    """Return the values of environment variables whose names look like those of secrets."""
    return {
        name: value.strip()
        for name, value in sorted(os.environ.items())
        if _SECRET_NAME.search(name)
        and not _PLACE_NAME.search(name)
        and len(value.strip()) >= LEAST_LENGTH
    }


def _holds(text: str, value: str) -> bool:
    """Return whether a text contains a value, also percent-encoded (`p%40ss` is `p@ss`)."""
    return value in text or value in unquote(text)


def _texts(tree: object, where: str) -> Iterator[tuple[str, str]]:
    """Yield each key and value as text, with its place, which names only the keys above it."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield where, str(key)
            yield from _texts(value, f"{where}.{key}" if where else str(key))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from _texts(value, f"{where}[{index}]")
    elif tree is not None and not isinstance(tree, bool):
        yield where, str(tree)
