"""What a reader makes of one file: records as they were published, and the faults among them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.errors import DataRefused
from cll.values import VALUE_WIDTH

Numbers = NDArray[np.int64]
Fault = tuple[
    int | None, str | None, str | None, str
]  # row (null: all of it), field, value, reason
FAULTS = {"row": pl.Int64, "field": pl.String, "value": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class Records:
    """All records of a file: rows + faults, none lost."""

    rows: pl.DataFrame  # the wanted columns, by their published names
    at: Numbers  # where each row stands, from 1: its line in CSV and JSONL, else its number
    faults: pl.DataFrame  # FAULTS


def faults_frame(faults: Sequence[Fault]) -> pl.DataFrame:
    """Return faults in the order of their rows, their values cut at VALUE_WIDTH characters."""
    rows = [(row, field, _cut(value), reason) for row, field, value, reason in faults]
    return pl.DataFrame(rows, schema=FAULTS, orient="row").sort("row", maintain_order=True)


def _cut(value: str | None) -> str | None:
    # A lone surrogate has no UTF-8, so it could not be stored.
    return value and value[:VALUE_WIDTH].encode(errors="backslashreplace").decode()


def refuse_lacking(has: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a file that hasn't each of `wanted` once."""
    lacking = [name for name in wanted if name not in has]
    if lacking:
        shown = ", ".join(has)
        raise DataRefused(
            f"lacks {', '.join(map(repr, lacking))}; it has: {shown[:200]}. "
            "Map what is there; null says that there is none."
        )
    twice = [name for name in wanted if list(has).count(name) > 1]
    if twice:
        raise DataRefused(f"has the column {twice[0]!r} twice.")
