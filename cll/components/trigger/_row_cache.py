"""Cache of values computed from rows, found by the rows' content and not by their frame."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import polars as pl

Made = TypeVar("Made")

_ENTRIES = 32  # enough for a few models and a few rules; the values are small

_CACHE: dict[Hashable, Any] = {}


def get_or_make(rows: pl.DataFrame, name: Hashable, make: Callable[[pl.DataFrame], Made]) -> Made:
    """Return `make(rows)`, from the cache if it was computed for the same rows and name before.

    Rows are compared by a 64-bit hash of each. `name` must contain everything else that the result
    depends on. A full cache is emptied.
    """
    key = (name, tuple(rows.columns), rows.height, rows.hash_rows().sum())
    if key not in _CACHE:
        if len(_CACHE) >= _ENTRIES:
            _CACHE.clear()
        _CACHE[key] = make(rows)
    made: Made = _CACHE[key]
    return made
