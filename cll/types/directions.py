"""Direction of a metric, stated by the metric alone: whether higher or lower values are better."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from cll.types.errors import ConfigError

Better = Literal["higher", "lower"]
Directions = Mapping[str, Better]  # by the name of each chosen metric
TREE_KEY = "directions"  # of resolved.yaml, where the compose stage writes them

_ATTRIBUTE = "better"
_Function = TypeVar("_Function", bound=Callable[..., float])


def higher_is_better(metric: _Function) -> _Function:
    """Mark a metric whose higher value is the better one, such as an accuracy."""
    setattr(metric, _ATTRIBUTE, "higher")
    return metric


def lower_is_better(metric: _Function) -> _Function:
    """Mark a metric whose lower value is the better one, such as an error or a cost.

    >>> @lower_is_better
    ... def cost(rows, weight):
    ...     return 0.0
    >>> direction_of("cost", cost)
    'lower'
    """
    setattr(metric, _ATTRIBUTE, "lower")
    return metric


def direction_of(name: str, metric: Callable[..., float]) -> Better:
    """Return the direction that a metric states; raise ConfigError if it states none."""
    better: Better | None = getattr(metric, _ATTRIBUTE, None)
    if better is None:
        place = f"{metric.__module__}.{getattr(metric, '__name__', metric)}"
        raise ConfigError(
            f"metric.{name}: {place} does not state which value is better; write @higher_is_better"
            " or @lower_is_better above it (from cll.types.directions)."
        )
    return better


def directions_of(metrics: Mapping[str, Callable[..., float]]) -> dict[str, Better]:
    """Return the direction of each metric by its name."""
    return {name: direction_of(name, metric) for name, metric in metrics.items()}


def directions_in(tree: Mapping[str, Any]) -> dict[str, Better]:
    """Return the directions that the compose stage wrote into a tree of resolved.yaml."""
    directions: dict[str, Better] | None = tree.get(TREE_KEY)
    if directions is None:
        raise ConfigError(
            f"resolved.yaml: {TREE_KEY} is missing, so an earlier version of cll wrote it; run"
            " `dvc repro`, or run the job again."
        )
    return directions


def sign(better: Better) -> int:
    """Return the factor that turns a metric so that a higher value is better."""
    return 1 if better == "higher" else -1
