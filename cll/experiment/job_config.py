"""Read the composed config that a job ran with, as data that names no code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cll.config import catalog, components, safety
from cll.config.project import Tree
from cll.pipeline.compose import compose
from cll.types.errors import ConfigError

_FIGURES = ("metrics.json", "replay.json")  # written at the end of an experiment, or of a replay
# Keys that compose adds to a config.
_DERIVED = {"choices", "code", "directions", "fallback", "schema"}
_NAMED = 2  # jobs of a sweep that an error names


def read(job: Path) -> Tree:
    """Read a job's resolved.yaml; it may have been edited, so it must not name foreign code."""
    path = job / "resolved.yaml"
    if not job.is_dir():
        raise ConfigError(f"{job}: no such folder; name a job's, below outputs/ or multirun/.")
    if not path.is_file():
        raise _no_job(job)
    if not any((job / name).is_file() for name in _FIGURES):
        raise ConfigError(
            f"{job}: {_FIGURES[0]} is not there, so the job failed; name one that ran through."
        )
    ran = components.load_yaml(path)
    if not _is_whole(ran):
        raise ConfigError(f"{path}: not what `cll run` writes there; run the job again.")
    for key, node in ran.items():
        safety.refuse_unsafe(node, f"{path}: {key}", "source" if key == "fallback" else key)
    return ran


def _is_whole(ran: Mapping[str, Any]) -> bool:
    choices = ran.get("choices")
    return (
        set(ran) == {*_DERIVED, *catalog.GROUPS, "seed"}
        and all(isinstance(ran[group], dict) for group in catalog.GROUPS)
        and isinstance(choices, dict)
        and {*catalog.GROUPS} - catalog.NAMED
        <= set(choices)
        <= {*catalog.GROUPS, compose.EXPERIMENT}
        and all(isinstance(choice, str) for choice in choices.values())
    )


def _no_job(folder: Path) -> ConfigError:
    jobs = [path.parent for path in folder.glob("*/resolved.yaml")]
    jobs.sort(key=lambda job: (len(job.name), job.name))
    if jobs:
        some = ", ".join([*map(str, jobs[:_NAMED]), *(["..."] if jobs[_NAMED:] else [])])
        return ConfigError(f"{folder}: a whole sweep; name one of its jobs: {some}")
    return ConfigError(
        f"{folder}: holds no resolved.yaml, so no job ran here; name the folder of one that did."
    )
