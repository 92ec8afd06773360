"""Request and result of a reader: the wanted columns, and the records with their faults."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice

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
]  # row (null: the whole file), field, value, reason
_BATCH = 2**14  # faults that are held as tuples
FAULTS = {"row": pl.Int64, "field": pl.String, "value": pl.String, "reason": pl.String}

# These faults have the same reason in every format.
EMPTY = "the file is empty"
TRUNCATED = "the file is truncated"
NESTED = "a list or an object, where a value is needed"
NOT_UTF8 = "not UTF-8"


@dataclass(frozen=True)
class Wanted:
    """The columns to read from a file, by published names, and the limits."""

    columns: tuple[str, ...]  # CSV and Parquet must have each of them
    # Some JSON record must have each of these; a number only if a similar key exists.
    needed: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()  # columns that hold only numbers
    values: frozenset[str] = frozenset()  # columns that hold numbers or times, and no names
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Records:
    """All records of a file: rows + faults, none lost."""

    rows: pl.DataFrame  # the wanted columns, by their published names
    at: Numbers  # position of each row, from 1: its line in CSV and JSONL, else its number
    faults: pl.DataFrame  # FAULTS
    header: Header | None = None  # the last header after the one at the top of the file


def moved(records: Records, lines: int) -> Records:
    """Return the records with their positions moved down by `lines`."""
    faults = records.faults.with_columns(records.faults["row"] + lines)
    return replace(records, at=records.at + lines, faults=faults)


def faults_frame(faults: Iterable[Fault]) -> pl.DataFrame:
    """Return faults sorted by row, with values cut to VALUE_WIDTH characters.

    An iterator is taken a batch at a time, since tuples need several times the memory of a frame.
    """
    rows = ((row, field, _cut(value), reason) for row, field, value, reason in faults)
    frames = [pl.DataFrame(schema=FAULTS)]
    while batch := list(islice(rows, _BATCH)):
        frames.append(pl.DataFrame(batch, schema=FAULTS, orient="row"))
    return pl.concat(frames).sort("row", maintain_order=True)


def _cut(value: str | None) -> str | None:
    # A lone surrogate can't be encoded as UTF-8.
    return value and value[:VALUE_WIDTH].encode(errors="backslashreplace").decode()


def twice(name: str) -> str:
    """Return the reason for a repeated key or column."""
    return f"{name!r} stands twice"


def refuse_lacking(has: Sequence[str], wanted: Sequence[str], hint: str = "") -> None:
    """Raise DataRefused unless a file has each of `wanted` exactly once."""
    lacking = [name for name in wanted if name not in has]
    if lacking:
        close = [near for name in lacking for near in alike(name, has)]
        similar = f"; similar: {', '.join(map(repr, dict.fromkeys(close)))}" if close else ""
        shown = ", ".join(has)
        raise DataRefused(
            f"lacks {', '.join(map(repr, lacking))}{similar}; it has: {shown[:200]}. "
            f"{hint}Map an existing column, or set it to null if there is none."
        )
    repeated = [name for name in wanted if list(has).count(name) > 1]
    if repeated:
        raise DataRefused(f"{twice(repeated[0])}.")


def alike(name: str, names: Iterable[str]) -> list[str]:
    """Return the names most similar to `name`, the best first."""
    folded = {candidate.casefold(): candidate for candidate in names}
    return [folded[n] for n in get_close_matches(name.casefold(), folded, n=2, cutoff=0.5)]
