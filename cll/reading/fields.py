"""A canonical column, the published one that it comes from, and what every cast needs."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from cll.errors import DataRefused

Kind = Literal["name", "instant", "number", "outcome"]


@dataclass(frozen=True)
class Field:
    """One canonical column, and how to get it from a published one."""

    name: str
    column: str
    kind: Kind
    factor: float = 1  # of a number: times this,
    divisor: float = 1  # through this (dividing by 100 rounds right, times 0.01 doesn't)
    required: bool = False
    time_format: str = "iso"  # of an instant: iso, an epoch of EPOCHS, or strptime's
    zone: str | None = None  # of instants that name none; null refuses them


Wrong = list[tuple[pl.Series, str]]  # a mask and the reason for it


def text_of(published: pl.Series) -> pl.Series:
    """Return text without blanks around it; what is all blank becomes null."""
    text = pl.col(published.name).str.strip_chars()
    return published.to_frame().select(pl.when(text != "").then(text)).to_series()


def refused(published: pl.Series, needed: str) -> DataRefused:
    return DataRefused(f"column {published.name!r} is {published.dtype}; {needed}.")
