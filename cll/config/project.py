"""Readers of world.yaml and resolved.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cll.config.components import validate
from cll.config.safety import refuse_unsafe
from cll.config.yaml_loader import load_yaml
from cll.system.workspace import Workspace
from cll.types.times import Instant

Tree = Mapping[str, Any]  # resolved.yaml: a mapping of groups to their settings


@dataclass(frozen=True)
class World:
    """The instant up to which data are used, and the champion."""

    as_of: Instant
    champion: Annotated[str, Field(pattern="^(none|[0-9a-f]{16})$")] = "none"  # a model_id


def read_world(path: Path) -> World:
    """Read world.yaml."""
    tree = load_yaml(path)
    refuse_unsafe(tree, path.name)
    return validate(World, tree, path.name)  # type: ignore[no-any-return]


def load_world(ws: Workspace) -> World:
    """Read the project's world.yaml."""
    return read_world(ws.root / "world.yaml")


def load_tree(ws: Workspace) -> Tree:
    """Read the composed config, resolved.yaml."""
    return load_yaml(ws.resolved)
