"""Conversion of delays given in rows to durations, by the step of the source's clock."""

from collections.abc import Mapping
from typing import Any

from cll.types.times import format_duration, parse_duration

_DELAYS = (("label", "delay"), ("features", "past_outcomes", "delay"))


def with_delays_as_time(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree with delays in rows as durations; without a clock nothing changes.

    >>> source = {"signals": {"clock": {"start": "1996-05-07T00:00:00Z", "step": "30m"}}}
    >>> with_delays_as_time({"source": source, "label": {"delay": 48}})["label"]
    {'delay': '1d'}
    """
    clock = (tree.get("source", {}).get("signals") or {}).get("clock")
    converted = dict(tree)
    if clock:
        for path in _DELAYS:
            converted = _put(converted, path, clock["step"])
    return converted


def _put(tree: Mapping[str, Any], path: tuple[str, ...], step: str) -> dict[str, Any]:
    name, *rest = path
    value = tree.get(name)
    if rest and isinstance(value, Mapping):
        return {**tree, name: _put(value, tuple(rest), step)}
    if not rest and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return {**tree, name: format_duration(value * parse_duration(step))}
    return dict(tree)
