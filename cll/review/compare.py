"""Step: tell what two states of a project differ in, and whether its figures got worse."""

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
Says = Literal["better", "worse", "noise", "same", "can't be told"]
UNTOLD: Says = "can't be told"
_OTHERS = ("champion", "baseline", "bayes", "gap", "events", "slices")


class Absent(Enum):
    """A leaf that one side lacks; null is a value."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True)
class Side:
    """What one side holds of what a project's runs say; None where it has no such file."""

    metrics: Tree | None = None
    counts: Tree | None = None  # of records
    draws: pl.DataFrame | None = None
    resolved: Tree | None = None
    world: Tree | None = None
    schema: Tree | None = None
    verdict: Tree | None = None


@dataclass(frozen=True)
class Change:
    """A value that is another."""

    name: str  # keys with dots between
    before: Any
    after: Any


@dataclass(frozen=True)
class Moved:
    """A metric of the candidate on both sides."""

    name: str
    before: Mapping[str, float]  # value, low, high; empty where there is none
    after: Mapping[str, float]
    difference: Difference | None
    says: Says
    is_watched: bool  # by the gate of either side


@dataclass(frozen=True)
class Comparison:
    """All that differs, and every metric."""

    metrics: tuple[Moved, ...]
    others: tuple[Change, ...]  # figures besides the candidate's own
    params: tuple[Change, ...]
    data: tuple[Change, ...]
    schema: tuple[str, ...]
    verdict: tuple[Tree, Tree]  # empty where there is none
    rules: tuple[Change, ...]  # of the gate, by outcome
    pairing: str  # what the differences rest on

    @property
    def has_regressed(self) -> bool | None:
        """Say whether a watched metric got worse by more than noise; None where it can't be told."""
        found = {one.says for one in self.metrics if one.is_watched}
        if "worse" in found:
            return True
        return None if not found or UNTOLD in found else False


def compare(before: Side, after: Side) -> Comparison:
    """Compare two sides; what differs, and each metric that either of them has."""
    old, new = _judgement(before), _judgement(after)
    watched = _watched(before) | _watched(after)
    directions: Directions = {**_directions(before), **_directions(after)}
    names = dict.fromkeys([*new.figures, *old.figures, *sorted(watched)])
    moved = [
        _moved(name, new, old, directions.get(name), is_watched=name in watched) for name in names
    ]
    verdicts = (before.verdict or {}, after.verdict or {})
    return Comparison(
        metrics=tuple(moved),
        others=tuple(_changes(*(_others(side) for side in (before, after)))),
        params=tuple(_changes(*(_settings(side) for side in (before, after)))),
        data=tuple(_changes(*(_data(side) for side in (before, after)))),
        schema=tuple(schema_changes.words(before.schema or {}, after.schema or {})),
        verdict=verdicts,
        rules=tuple(_changes(*(_outcomes(one) for one in verdicts))),
        pairing=_pairing(new, old),
    )


def _judgement(side: Side) -> Judgement:
    metrics = side.metrics or {}
    told = _tree(metrics, "candidate")
    figures = {name: _tree(told, name) for name in told if "value" in _tree(told, name)}
    return Judgement(figures, _tree(metrics, "data"), side.draws)


def _watched(side: Side) -> set[str]:
    """Return the metrics that a side's gate looks at.

    Those of both sides count, so that no change of the gate hides what it makes worse.
    """
    gate = _tree(side.resolved or {}, "gate")
    bounds = {**_tree(gate, "floors"), **_tree(gate, "ceilings")}
    names = {name for name, bound in bounds.items() if bound is not None}
    return names | ({str(gate["metric"])} if gate.get("metric") else set())


def _directions(side: Side) -> Mapping[str, Any]:
    return _tree(side.resolved or {}, TREE_KEY)


def _moved(
    name: str, new: Judgement, old: Judgement, better: Better | None, *, is_watched: bool
) -> Moved:
    before, after = old.figures.get(name, {}), new.figures.get(name, {})
    apart = difference(name, new, old)
    says: Says
    if before and before == after and new.holdout_id == old.holdout_id:
        says = "same"
    elif apart is None:
        says = UNTOLD
    elif apart.is_noise:
        says = "noise"
    elif better is None:  # both sides were composed before metrics stated their direction
        says = UNTOLD
    else:
        says = "worse" if apart.is_worse(better) else "better"
    return Moved(name, before, after, apart, says, is_watched)


def _pairing(new: Judgement, old: Judgement) -> str:
    """Say what the differences rest on."""
    if not new.figures or not old.figures:
        return "Only one side has figures, so there are no differences."
    otherwise = "so a difference is judged by both intervals, not draw by draw"
    if not new.holdout_id or not old.holdout_id:
        return f"One side does not say which rows it was judged on, {otherwise}."
    if new.holdout_id != old.holdout_id:
        ids = f"{old.holdout_id} -> {new.holdout_id}"
        return f"The held-out rows, or how they are drawn, are others ({ids}), {otherwise}."
    if new.draws is None or old.draws is None:
        return f"One side has no reports/draws.csv, {otherwise}."
    return "Both sides were judged on the same rows in the same draws: differences are paired."


def _settings(side: Side) -> dict[str, Any]:
    world = {f"world.{name}": value for name, value in (side.world or {}).items()}
    return {**_flat(side.resolved or {}), **world}


def _others(side: Side) -> dict[str, Any]:
    metrics = side.metrics or {}
    return _flat({top: metrics[top] for top in _OTHERS if top in metrics})


def _data(side: Side) -> dict[str, Any]:
    told = _flat({**_tree(side.metrics or {}, "data"), **(side.counts or {})})
    return {name: value for name, value in told.items() if name != "holdout_id"}


def _outcomes(verdict: Tree) -> dict[str, str]:
    rules = verdict.get("rules", ())
    return {one["name"]: one["outcome"] for one in rules if {"name", "outcome"} <= set(one)}


def _changes(before: Tree, after: Tree) -> Iterator[Change]:
    for name in dict.fromkeys([*after, *before]):
        then, now = before.get(name, ABSENT), after.get(name, ABSENT)
        if repr(then) != repr(now):  # 1, 1.0 and true are three
            yield Change(name, then, now)


def _tree(tree: Tree, name: str) -> Tree:
    found = tree.get(name)
    return found if isinstance(found, Mapping) else {}


def _flat(tree: Tree) -> dict[str, Any]:
    return {trees.dotted(keys): value for keys, value in trees.of(tree).items()}
