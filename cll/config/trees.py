"""A tree of plain values as its leaves, each by the keys that lead to it: to compare, to tell."""

from collections.abc import Mapping
from typing import Any

Keys = tuple[str, ...]
Leaves = dict[Keys, Any]


def of(tree: Mapping[str, Any], above: Keys = ()) -> Leaves:
    """List the leaves in their order; a list is one, and so is an empty mapping.

    >>> of({"a": {"b": [1], "c": {}}, "d": None})
    {('a', 'b'): [1], ('a', 'c'): {}, ('d',): None}
    """
    leaves: Leaves = {}
    for key, value in tree.items():
        is_full = isinstance(value, Mapping) and value
        leaves |= of(value, (*above, key)) if is_full else {(*above, key): value}
    return leaves


def nested(leaves: Leaves) -> dict[str, Any]:
    """Return the tree of leaves.

    >>> nested({("a", "b"): [1], ("a", "c"): {}, ("d",): None})
    {'a': {'b': [1], 'c': {}}, 'd': None}
    """
    tree: dict[str, Any] = {}
    for keys, value in leaves.items():
        node = tree
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    return tree


def has(leaves: Leaves, keys: Keys, value: object) -> bool:
    """Tell whether this very value stands there: 1, 1.0 and true are three.

    >>> has({("a",): 1}, ("a",), 1), has({("a",): 1}, ("a",), 1.0)
    (True, False)
    """
    return keys in leaves and repr(leaves[keys]) == repr(value)


def gone(before: Leaves, after: Leaves) -> list[Keys]:
    """List the leaves that are nowhere in another tree, not even as what holds or replaces them.

    >>> gone(of({"a": 1, "b": None, "c": {"d": 1}, "e": {"f": 1}}), of({"b": {"x": 1}, "c": None}))
    [('a',), ('e', 'f')]
    """
    starts = {keys[:end] for keys in after for end in range(len(keys) + 1)}
    return [
        keys
        for keys in before
        if keys not in starts and not any(keys[:end] in after for end in range(len(keys)))
    ]


def dotted(keys: Keys) -> str:
    """Write keys as a person does."""
    return ".".join(map(str, keys))
