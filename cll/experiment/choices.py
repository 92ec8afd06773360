"""List the choices of each group of conf/, and mark the chosen ones."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cll.config import catalog
from cll.config.yaml_loader import load_yaml
from cll.pipeline.compose import compose
from cll.types.errors import ConfigError

_MARK = "*"


@dataclass(frozen=True)
class Choice:
    """A file of conf/GROUP/."""

    name: str
    summary: str  # first comment line of the choice's file
    chosen: bool  # whether params.yaml, the experiment or else conf/config.yaml names it


def read(root: Path, group: str | None = None) -> dict[str, list[Choice]]:
    """Return the choices of each group, or of `group` only."""
    conf, params = root / "conf", load_yaml(root / "params.yaml")
    listed = compose.choices_of(conf)
    if group is not None and group not in listed:
        near = difflib.get_close_matches(group, listed, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(listed)}."
        raise ConfigError(f"{group}: no such group of conf/; {hint}")
    chosen = _chosen(conf, params)
    return {
        name: [
            Choice(choice, _summary(conf / name / f"{choice}.yaml"), choice in chosen[name])
            for choice in listed[name]
        ]
        for name in ([group] if group else listed)
    }


def as_json(groups: Mapping[str, list[Choice]]) -> dict[str, list[dict[str, Any]]]:
    """Return the groups as plain values."""
    return {name: [asdict(choice) for choice in choices] for name, choices in groups.items()}


def overview(groups: Mapping[str, list[Choice]]) -> list[str]:
    """Return a line for each group: its name, and its choices with the chosen ones marked."""
    width = max(map(len, groups))
    return [f"{name:<{width}}  {' '.join(map(_marked, groups[name]))}" for name in groups]


def details(choices: list[Choice]) -> list[str]:
    """Return a line for each choice of a group: its mark, its name and its summary."""
    width = max(len(choice.name) for choice in choices)
    return [
        f"{_MARK if choice.chosen else ' '} {choice.name:<{width}}  {choice.summary}".rstrip()
        for choice in choices
    ]


def _marked(choice: Choice) -> str:
    return f"{_MARK if choice.chosen else ''}{choice.name}"


def _chosen(conf: Path, params: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the chosen names of each group, as Hydra composes conf/ and params.yaml."""
    compose.refuse_unsafe(conf, params)
    tree, single = compose.composed(conf, compose.baseline(conf, params))
    chosen = {
        group: {single[group]} if group in single else set() for group in compose.choices_of(conf)
    }
    for group in catalog.NAMED - set(single):  # Hydra names no choice if a list is chosen
        value = params.get(group)
        chosen[group] = set(value) if isinstance(value, list) else _contained(conf, group, tree)
    return chosen


def _contained(conf: Path, group: str, tree: Mapping[str, Any]) -> set[str]:
    """Return the choices whose entries are all in the composed tree."""
    return {
        choice
        for choice in compose.choices_of(conf)[group]
        if set(load_yaml(conf / group / f"{choice}.yaml")) <= set(tree[group])
    }


def _summary(path: Path) -> str:
    """Return the first comment line of a YAML file, without Hydra's `@package` line."""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.removeprefix("#").strip()
        if line.startswith("#") and not text.startswith("@"):
            return text
    return ""
