"""Readers of metrics.json for the gate: a value with its interval, or None if either is missing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cll.types.directions import Better
from cll.types.verdicts import Rule

RuleOutcome = Literal["passed", "failed", "not enough evidence", "noted"]


@dataclass(frozen=True)
class Figure:
    """A value with the ends of its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


def read(metrics: Mapping[str, Any], *path: str) -> Figure | None:
    """Read value, low and high; return None if one is missing or not finite."""
    value, low, high = (number(metrics, *path, key) for key in ("value", "low", "high"))
    return None if value is None or low is None or high is None else Figure(value, low, high)


def gain(metrics: Mapping[str, Any], better: Better, *path: str) -> Figure | None:
    """Read a difference, with its sign changed if lower is better, so that higher is better."""
    figure = read(metrics, *path)
    if figure is None or better == "higher":
        return figure
    return Figure(-figure.value, -figure.high, -figure.low)


def number(metrics: Mapping[str, Any], *path: str) -> float | None:
    node: Any = metrics
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return float(node) if isinstance(node, int | float) and math.isfinite(node) else None


def outcome(passes: bool, *, open_: bool = False) -> RuleOutcome:  # noqa: FBT001  the condition itself
    if passes:
        return "passed"
    return "not enough evidence" if open_ else "failed"


def undefined(
    name: str,
    key: str,
    bound: float,
    why: str = "not defined on these rows, or no such metric is chosen",
) -> Rule:
    says = f"{key} has no interval: {why}."
    return Rule(name, None, bound, "not enough evidence", says)
