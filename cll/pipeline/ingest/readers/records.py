"""What a reader is asked for, and what it makes of it: records as published, and their faults."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cll.pipeline.ingest.readers.limits import Limits
from cll.types.errors import DataRefused
from cll.types.records import Header
from cll.types.tables import VALUE_WIDTH

Numbers = NDArray[np.int64]
Fault = tuple[
    int | None, str | None, str | None, str
]  # row (null: all of it), field, value, reason
FAULTS = {"row": pl.Int64, "field": pl.String, "value": pl.String, "reason": pl.String}

# One fault has one name in every format.
EMPTY = "the file is empty"
TRUNCATED = "the file is truncated"
NESTED = "a list or an object, where a value is needed"
NOT_UTF8 = "not UTF-8"


@dataclass(frozen=True)
class Wanted:
    """What is read of a file, by published names."""

    columns: tuple[str, ...]  # CSV and Parquet must have each of them,
    # Of these each must stand in some JSON record; a number only where a key like it does.
    needed: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()  # and these are nothing but numbers
    values: frozenset[str] = frozenset()  # these hold numbers or times, and no names
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Records:
    """All records of a file: rows + faults, none lost."""

    rows: pl.DataFrame  # the wanted columns, by their published names
    at: Numbers  # where each row stands, from 1: its line in CSV and JSONL, else its number
    faults: pl.DataFrame  # FAULTS
    header: Header | None = None  # the last one in it, but for that at the file's top


def moved(records: Records, lines: int) -> Records:
    """Return records that stand so many lines further on."""
    faults = records.faults.with_columns(records.faults["row"] + lines)
    return replace(records, at=records.at + lines, faults=faults)


def faults_frame(faults: Sequence[Fault]) -> pl.DataFrame:
    """Return faults in the order of their rows, their values cut at VALUE_WIDTH characters."""
    rows = [(row, field, _cut(value), reason) for row, field, value, reason in faults]
    return pl.DataFrame(rows, schema=FAULTS, orient="row").sort("row", maintain_order=True)


def _cut(value: str | None) -> str | None:
    # A lone surrogate has no UTF-8, so it could not be stored.
    return value and value[:VALUE_WIDTH].encode(errors="backslashreplace").decode()


def twice(name: str) -> str:
    return f"{name!r} stands twice"


def refuse_lacking(has: Sequence[str], wanted: Sequence[str], hint: str = "") -> None:
    """Refuse a file that hasn't each of `wanted` once."""
    lacking = [name for name in wanted if name not in has]
    if lacking:
        close = [near for name in lacking for near in alike(name, has)]
        similar = f"; similar: {', '.join(map(repr, dict.fromkeys(close)))}" if close else ""
        shown = ", ".join(has)
        raise DataRefused(
            f"lacks {', '.join(map(repr, lacking))}{similar}; it has: {shown[:200]}. "
            f"{hint}Map what is there; null says that there is none."
        )
    repeated = [name for name in wanted if list(has).count(name) > 1]
    if repeated:
        raise DataRefused(f"{twice(repeated[0])}.")


def alike(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that `name` may have been, the likeliest first."""
    folded = {one.casefold(): one for one in names}
    return [folded[n] for n in get_close_matches(name.casefold(), folded, n=2, cutoff=0.5)]
