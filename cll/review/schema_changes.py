"""Changes of the committed data schema, described in words."""

from collections.abc import Iterator, Mapping
from typing import Any

Tree = Mapping[str, Any]
_COLUMN = {
    "unit": "unit",
    "nulls": "highest daily share of missing values",
    "low": "lowest value",
    "high": "highest value",
    "q01": "1 % quantile of a day",
    "median": "median of a day",
    "q99": "99 % quantile of a day",
    "scale": "usual size in a day",
}
_RATE = {"rate": "usual rate", "spread": "spread from day to day", "range": "daily rate"}
_WHOLE = {"hours": "hours with data per day", "entities": "entities per day"}


def describe(before: Tree, after: Tree) -> Iterator[str]:
    """Yield one line per difference between two versions of registry/schema.yaml.

    >>> list(describe({}, {"files": {"days": 1, "since": "2026-01-01", "until": "2026-01-01"}}))
    ['files: new, inferred from 1 day, 2026-01-01 to 2026-01-01']
    """
    for name in sorted({*before, *after}):
        if name not in after:
            yield f"{name}: removed"
        elif name not in before:
            yield f"{name}: new, inferred from {_span(after[name])}"
        elif before[name] != after[name]:
            yield from (f"{name}: {line}" for line in _section(before[name], after[name]))


def _section(before: Tree, after: Tree) -> Iterator[str]:
    if _span(before) != _span(after):
        yield f"inferred from {_span(before)} -> {_span(after)}"
    yield from _named("column", _tree(before, "columns"), _tree(after, "columns"), _COLUMN)
    yield from _named("group", _groups(before), _groups(after), {"entities": "entities"})
    yield from _values(before, after, _WHOLE)
    old, new = _tree(before, "outcome"), _tree(after, "outcome")
    yield from _values(old, new, {"told": "lowest share of rows with an outcome"})
    for name, then, now in (
        ("outcome", _tree(old, "rate"), _tree(new, "rate")),
        ("incidents", _tree(before, "incidents"), _tree(after, "incidents")),
    ):
        yield from (f"{name}: {line}" for line in _values(then, now, _RATE))


def _groups(section: Tree) -> Tree:
    return {name: {"entities": count} for name, count in _tree(section, "groups").items()}


def _named(kind: str, old: Tree, new: Tree, phrases: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in new:
            yield f"{kind} {name} is removed"
        elif name not in old:
            yield f"{kind} {name} is new"
        else:
            yield from (f"{name}: {line}" for line in _values(old[name], new[name], phrases))


def _values(before: Tree, after: Tree, phrases: Mapping[str, str]) -> Iterator[str]:
    """Yield the values that differ, each with its phrase; other keys are not compared."""
    for key, phrase in phrases.items():
        then, now = _shown(before.get(key)), _shown(after.get(key))
        if then != now:
            yield f"{phrase} {then} -> {now}"


def _span(section: Tree) -> str:
    days = section.get("days")
    return f"{days} day{'s' * (days != 1)}, {section.get('since')} to {section.get('until')}"


def _shown(value: object) -> str:
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004  the lowest and the highest
        return str(value[0]) if value[0] == value[1] else f"{value[0]} to {value[1]}"
    return "none" if value is None else str(value)


def _tree(tree: Tree, key: str) -> Tree:
    node = tree.get(key)
    return node if isinstance(node, Mapping) else {}
