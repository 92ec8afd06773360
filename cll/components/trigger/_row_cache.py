"""What follows from rows, remembered by their content: the same rows may come in another frame."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import polars as pl

Made = TypeVar("Made")

_ENTRIES = 32  # those of a few models and a few rules; what is remembered is small

_REMEMBERED: dict[Hashable, Any] = {}


def of(rows: pl.DataFrame, beside: Hashable, make: Callable[[pl.DataFrame], Made]) -> Made:
    """Return what `make` makes of `rows`, or made of the same rows under the same key `beside`.

    Rows are told apart by a 64-bit hash of each; `beside` names `make`, and all else it depends on.
    """
    key = (beside, tuple(rows.columns), rows.height, rows.hash_rows().sum())
    if key not in _REMEMBERED:
        if len(_REMEMBERED) >= _ENTRIES:
            _REMEMBERED.clear()
        _REMEMBERED[key] = make(rows)
    made: Made = _REMEMBERED[key]
    return made
