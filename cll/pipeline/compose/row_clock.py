"""Delays that are counted in rows, where a source's clock says how long a row takes."""

from collections.abc import Mapping
from typing import Any

from cll.types.times import format_duration, parse_duration

_DELAYS = (("label", "delay"), ("features", "past_outcomes", "delay"))


def in_time(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Write delays of so many rows as spans of time; those of a source without a clock stay.

    >>> source = {"signals": {"clock": {"start": "1996-05-07T00:00:00Z", "step": "30m"}}}
    >>> in_time({"source": source, "label": {"delay": 48}})["label"]
    {'delay': '1d'}
    """
    clock = (tree.get("source", {}).get("signals") or {}).get("clock")
    turned = dict(tree)
    if clock:
        for path in _DELAYS:
            turned = _put(turned, path, clock["step"])
    return turned


def _put(tree: Mapping[str, Any], path: tuple[str, ...], step: str) -> dict[str, Any]:
    name, *rest = path
    found = tree.get(name)
    if rest and isinstance(found, Mapping):
        return {**tree, name: _put(found, tuple(rest), step)}
    if not rest and isinstance(found, int) and not isinstance(found, bool) and found > 0:
        return {**tree, name: format_duration(found * parse_duration(step))}
    return dict(tree)
