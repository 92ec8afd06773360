"""Restriction of OmegaConf's resolvers while a config is composed.

Only Hydra's own settings may use resolvers: `now`, `pid` and `hydra`, for the time, the process and
the job. OmegaConf's own (such as `oc.env`) and those of plugins are disabled.
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
    """A registry of resolvers that ignores additions, since Hydra and its plugins register theirs."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Ignore a new resolver."""


def now(pattern: str, *, _parent_: Container, _root_: Container) -> str:
    """Return the local time; as in Hydra, each use of a pattern in one config gives the same time."""
    _refuse_elsewhere("now", _parent_)
    times: dict[str, str] = OmegaConf.get_cache(_root_)["now"]  # type: ignore[arg-type]
    return times.setdefault(pattern, datetime.now().strftime(pattern))  # noqa: DTZ005  for a folder's name


def pid(*, _parent_: Container) -> str:
    """Return the id of this process."""
    _refuse_elsewhere("pid", _parent_)
    return str(os.getpid())


def own(path: str, *, _parent_: Container, _root_: Container) -> Any:
    """Return the value of another of Hydra's settings."""
    _refuse_elsewhere("hydra", _parent_)
    return OmegaConf.select(_root_, f"hydra.{path}")


def _refuse_elsewhere(name: str, parent: Container) -> None:
    """Raise the error for an unknown resolver if one is used outside of Hydra's own settings."""
    if str(parent._get_full_key(None)).split(".", 1)[0] != "hydra":  # noqa: SLF001  no other way
        raise UnsupportedInterpolationType(f"Unsupported interpolation type {name}")


def _registry() -> _Fixed:
    """Return a registry of the three resolvers, in OmegaConf's form."""
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
def restricted() -> Iterator[None]:
    """Disable all resolvers within the block, except the three in Hydra's own settings."""
    before, BaseContainer._resolvers = BaseContainer._resolvers, _RESOLVERS  # noqa: SLF001
    try:
        yield
    finally:
        BaseContainer._resolvers = before  # noqa: SLF001
