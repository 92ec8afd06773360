"""Step: compare two states of a project, and decide whether a metric of the gate got worse."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import polars as pl

from cll.config import trees
from cll.pipeline.evaluate.statistics.difference import Difference, Judgement, difference
from cll.review import schema_changes
from cll.types.directions import TREE_KEY, Better, Directions

Tree = Mapping[str, Any]
Outcome = Literal["better", "worse", "noise", "same", "can't be told"]
UNDECIDED: Outcome = "can't be told"
_OTHERS = ("champion", "baseline", "bayes", "gap", "events", "slices")


class Absent(Enum):
    """The value of a key that one state does not have; it differs from a value of null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class ProjectState:
    """The parsed result files of a project at one time; None where a file does not exist."""

    metrics: Tree | None = None
    counts: Tree | None = None  # record counts
    draws: pl.DataFrame | None = None
    resolved: Tree | None = None
    world: Tree | None = None
    schema: Tree | None = None
    verdict: Tree | None = None


@dataclass(frozen=True)
class ValueChange:
    """A value that differs between the two states."""

    name: str  # keys joined by dots
    before: Any
    after: Any


@dataclass(frozen=True)
class MetricChange:
    """One metric of the candidate in both states."""

    name: str
    before: Mapping[str, float]  # value, low, high; empty where the metric is missing
    after: Mapping[str, float]
    difference: Difference | None
    outcome: Outcome
    is_watched: bool  # whether the gate of either state reads the metric


@dataclass(frozen=True)
class Comparison:
    """Every metric, and all other values that differ."""

    metrics: tuple[MetricChange, ...]
    others: tuple[ValueChange, ...]  # figures other than the candidate's metrics
    params: tuple[ValueChange, ...]
    data: tuple[ValueChange, ...]
    schema: tuple[str, ...]
    verdict: tuple[Tree, Tree]  # before and after; empty where it is missing
    rules: tuple[ValueChange, ...]  # rules of the gate whose outcome differs
    pairing: str  # a sentence on how the differences were computed

    @property
    def has_regressed(self) -> bool | None:
        """True where a watched metric got worse by more than noise; None where it is undecided."""
        outcomes = {metric.outcome for metric in self.metrics if metric.is_watched}
        if "worse" in outcomes:
            return True
        return None if not outcomes or UNDECIDED in outcomes else False


def compare(before: ProjectState, after: ProjectState) -> Comparison:
    """Return all values that differ between two states, and each metric that either of them has."""
    old, new = _judgement(before), _judgement(after)
    watched = _watched(before) | _watched(after)
    directions: Directions = {**_directions(before), **_directions(after)}
    names = dict.fromkeys([*new.figures, *old.figures, *sorted(watched)])
    metrics = [
        _metric_change(name, new, old, directions.get(name), is_watched=name in watched)
        for name in names
    ]
    states = (before, after)
    verdicts = (before.verdict or {}, after.verdict or {})
    return Comparison(
        metrics=tuple(metrics),
        others=tuple(_changes(*(_other_figures(state) for state in states))),
        params=tuple(_changes(*(_settings(state) for state in states))),
        data=tuple(_changes(*(_data(state) for state in states))),
        schema=tuple(schema_changes.describe(before.schema or {}, after.schema or {})),
        verdict=verdicts,
        rules=tuple(_changes(*(_rule_outcomes(verdict) for verdict in verdicts))),
        pairing=_pairing(new, old),
    )


def _judgement(state: ProjectState) -> Judgement:
    metrics = state.metrics or {}
    candidate = _tree(metrics, "candidate")
    figures = {
        name: _tree(candidate, name) for name in candidate if "value" in _tree(candidate, name)
    }
    return Judgement(figures, _tree(metrics, "data"), state.draws)


def _watched(state: ProjectState) -> set[str]:
    """Return the metrics that a state's gate reads.

    The gates of both states count. Otherwise a change could remove a metric from the gate and hide
    that it makes this metric worse.
    """
    gate = _tree(state.resolved or {}, "gate")
    bounds = {**_tree(gate, "floors"), **_tree(gate, "ceilings")}
    names = {name for name, bound in bounds.items() if bound is not None}
    return names | ({str(gate["metric"])} if gate.get("metric") else set())


def _directions(state: ProjectState) -> Mapping[str, Any]:
    return _tree(state.resolved or {}, TREE_KEY)


def _metric_change(
    name: str, new: Judgement, old: Judgement, better: Better | None, *, is_watched: bool
) -> MetricChange:
    before, after = old.figures.get(name, {}), new.figures.get(name, {})
    change = difference(name, new, old)
    outcome: Outcome
    if before and before == after and new.holdout_id == old.holdout_id:
        outcome = "same"
    elif change is None:
        outcome = UNDECIDED
    elif change.is_noise:
        outcome = "noise"
    elif better is None:  # both states were composed before metrics stated their direction
        outcome = UNDECIDED
    else:
        outcome = "worse" if change.is_worse(better) else "better"
    return MetricChange(name, before, after, change, outcome, is_watched)


def _pairing(new: Judgement, old: Judgement) -> str:
    """Return a sentence on how the differences were computed, and why."""
    if not new.figures or not old.figures:
        return "Only one of the two states has metrics, so there are no differences."
    otherwise = "so differences are computed from both intervals, not draw by draw"
    if not new.holdout_id or not old.holdout_id:
        return f"One of the two states does not name its held-out rows, {otherwise}."
    if new.holdout_id != old.holdout_id:
        ids = f"{old.holdout_id} -> {new.holdout_id}"
        return f"The held-out rows or their bootstrap draws differ ({ids}), {otherwise}."
    if new.draws is None or old.draws is None:
        return f"One of the two states has no reports/draws.csv, {otherwise}."
    return "Both models were scored on the same rows in the same draws: differences are paired."


def _settings(state: ProjectState) -> dict[str, Any]:
    world = {f"world.{name}": value for name, value in (state.world or {}).items()}
    return {**_flat(state.resolved or {}), **world}


def _other_figures(state: ProjectState) -> dict[str, Any]:
    metrics = state.metrics or {}
    return _flat({top: metrics[top] for top in _OTHERS if top in metrics})


def _data(state: ProjectState) -> dict[str, Any]:
    counts = _flat({**_tree(state.metrics or {}, "data"), **(state.counts or {})})
    return {name: value for name, value in counts.items() if name != "holdout_id"}


def _rule_outcomes(verdict: Tree) -> dict[str, str]:
    rules = verdict.get("rules", ())
    return {rule["name"]: rule["outcome"] for rule in rules if {"name", "outcome"} <= set(rule)}


def _changes(before: Tree, after: Tree) -> Iterator[ValueChange]:
    for name in dict.fromkeys([*after, *before]):
        then, now = before.get(name, ABSENT), after.get(name, ABSENT)
        if repr(then) != repr(now):  # repr, since 1 == 1.0 == True in Python
            yield ValueChange(name, then, now)


def _tree(tree: Tree, name: str) -> Tree:
    node = tree.get(name)
    return node if isinstance(node, Mapping) else {}


def _flat(tree: Tree) -> dict[str, Any]:
    return {trees.dotted(keys): value for keys, value in trees.flatten(tree).items()}
