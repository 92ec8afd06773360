"""Conversion of a config tree to a flat mapping from key paths to leaves, and comparison of trees."""

from collections.abc import Mapping
from typing import Any

Keys = tuple[str, ...]
Leaves = dict[Keys, Any]


def flatten(tree: Mapping[str, Any], above: Keys = ()) -> Leaves:
    """Return the leaves in their order; a list is a leaf, and so is an empty mapping.

    >>> flatten({"a": {"b": [1], "c": {}}, "d": None})
    {('a', 'b'): [1], ('a', 'c'): {}, ('d',): None}
    """
    leaves: Leaves = {}
    for key, value in tree.items():
        is_full = isinstance(value, Mapping) and value
        leaves |= flatten(value, (*above, key)) if is_full else {(*above, key): value}
    return leaves


def nested(leaves: Leaves) -> dict[str, Any]:
    """Return the tree that has these leaves.

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
    """Return whether the leaf has this value; 1, 1.0 and true are different values.

    >>> has({("a",): 1}, ("a",), 1), has({("a",): 1}, ("a",), 1.0)
    (True, False)
    """
    return keys in leaves and repr(leaves[keys]) == repr(value)


def gone(before: Leaves, after: Leaves) -> list[Keys]:
    """Return the key paths of `before` with no value in `after`, at the path or above or below it.

    >>> gone(flatten({"a": 1, "b": None, "c": {"d": 1}, "e": {"f": 1}}), flatten({"b": {"x": 1}, "c": None}))
    [('a',), ('e', 'f')]
    """
    starts = {keys[:end] for keys in after for end in range(len(keys) + 1)}
    return [
        keys
        for keys in before
        if keys not in starts and not any(keys[:end] in after for end in range(len(keys)))
    ]


def dotted(keys: Keys) -> str:
    """Return a key path in dotted form."""
    return ".".join(map(str, keys))
