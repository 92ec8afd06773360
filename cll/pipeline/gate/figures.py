"""Figures of metrics.json as a rule of the gate reads them: with their interval, or as none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cll.types.directions import Better
from cll.types.verdicts import Rule

Outcome = Literal["passed", "failed", "not enough evidence", "noted"]


@dataclass(frozen=True)
class Figure:
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


def read(metrics: Mapping[str, Any], *path: str) -> Figure | None:
    """Read value, low and high: a figure without an interval is no evidence."""
    value, low, high = (number(metrics, *path, key) for key in ("value", "low", "high"))
    return None if value is None or low is None or high is None else Figure(value, low, high)


def gain(metrics: Mapping[str, Any], better: Better, *path: str) -> Figure | None:
    """Read a difference so that more is better."""
    found = read(metrics, *path)
    if found is None or better == "higher":
        return found
    return Figure(-found.value, -found.high, -found.low)


def number(metrics: Mapping[str, Any], *path: str) -> float | None:
    node: Any = metrics
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return float(node) if isinstance(node, int | float) and math.isfinite(node) else None


def outcome(passes: bool, *, open_: bool = False) -> Outcome:  # noqa: FBT001  the condition itself
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
