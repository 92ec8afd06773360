"""Resolvers that are in force while a config is composed: none, but in Hydra's own settings.

There `now`, `pid` and `hydra` give the time, the process and the job. OmegaConf's own (`oc.env` and
others), and those that a plugin registers, are out of force.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from omegaconf import Container, OmegaConf
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import UnsupportedInterpolationType

NAMES = ("now", "pid", "hydra")


class _Fixed(dict[str, Any]):
    """A registry of resolvers that takes no other: Hydra and its plugins register theirs anew."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Leave the registry as it is."""


def now(pattern: str, *, _parent_: Container, _root_: Container) -> str:
    """Return the local time: the same for each use of a pattern in one config, as Hydra has it."""
    _refuse_elsewhere("now", _parent_)
    seen: dict[str, str] = OmegaConf.get_cache(_root_)["now"]  # type: ignore[arg-type]
    return seen.setdefault(pattern, datetime.now().strftime(pattern))  # noqa: DTZ005  a folder's name


def pid(*, _parent_: Container) -> str:
    """Return the number of this process."""
    _refuse_elsewhere("pid", _parent_)
    return str(os.getpid())


def own(path: str, *, _parent_: Container, _root_: Container) -> Any:
    """Return another of Hydra's settings."""
    _refuse_elsewhere("hydra", _parent_)
    return OmegaConf.select(_root_, f"hydra.{path}")


def _refuse_elsewhere(name: str, parent: Container) -> None:
    """Refuse a resolver that stands outside of Hydra's own settings, as one that is unknown."""
    if str(parent._get_full_key(None)).split(".", 1)[0] != "hydra":  # noqa: SLF001  no other way
        raise UnsupportedInterpolationType(f"Unsupported interpolation type {name}")


def _registry() -> _Fixed:
    """Make a registry of the three, in OmegaConf's own form."""
    before, BaseContainer._resolvers = BaseContainer._resolvers, {}  # noqa: SLF001
    try:
        OmegaConf.register_new_resolver("now", now)
        OmegaConf.register_new_resolver("pid", pid)
        OmegaConf.register_new_resolver("hydra", own)
        return _Fixed(BaseContainer._resolvers)  # noqa: SLF001
    finally:
        BaseContainer._resolvers = before  # noqa: SLF001


_RESOLVERS = _registry()


@contextmanager
def in_force() -> Iterator[None]:
    """Let a config refer to its own keys alone, and Hydra's settings to time, process and job."""
    before, BaseContainer._resolvers = BaseContainer._resolvers, _RESOLVERS  # noqa: SLF001
    try:
        yield
    finally:
        BaseContainer._resolvers = before  # noqa: SLF001
