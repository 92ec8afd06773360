"""A canonical column, the published one that it comes from, and what every cast needs."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from cll.pipeline.ingest.readers.limits import Limits

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
    longest: int = Limits.text_length  # bytes of a name

    @property
    def needed(self) -> bool:
        """Whether a file of JSON lacks something where no record has it."""
        return self.kind == "number" or self.name in {"entity", "time", "start"}


# About 7,900 years before and behind 1970, in each unit of dates and times.
_FARTHEST = {
    "days": 2_900_000,
    "ms": 250_000_000_000_000,
    "us": 250_000_000_000_000_000,
    "ns": 2**63 - 1,
}

Wrong = list[tuple[pl.Series, str]]  # a mask and the reason for it


def text_of(published: pl.Series) -> pl.Series:
    """Return text without blanks around it; what is all blank becomes null."""
    text = pl.col(published.name).str.strip_chars()
    return published.to_frame().select(pl.when(text != "").then(text)).to_series()


def is_blank(text: pl.Series) -> pl.Series:
    """Tell where text is null, or of blanks alone."""
    # Only what begins with a blank can be, and those sort before "!" or behind ASCII.
    if not ((text < "!") | (text > "\x7f")).any():
        return text.is_null()
    return text.is_null() | (text.str.strip_chars() == "")


def as_text(published: pl.Series) -> pl.Series:
    """Return values of any type as CSV would have them; null where there is no such text."""
    if published.dtype == pl.Boolean:
        words = pl.when(pl.first()).then(pl.lit("true")).when(~pl.first()).then(pl.lit("false"))
        return published.to_frame().select(words.alias(published.name)).to_series()
    if published.dtype.is_nested() or published.dtype == pl.Object:
        told = [None if value is None else str(value) for value in published.to_list()]
        return pl.Series(published.name, told, dtype=pl.String)
    if published.dtype == pl.Duration:
        return with_unit(published.to_physical(), _unit(published))
    if published.dtype in (pl.Date, pl.Datetime) and (far := is_far(published)).any():
        near = published.set(far, None).cast(pl.String)
        return near.zip_with(~far, with_unit(published.to_physical(), _unit(published)))
    try:
        return published.cast(pl.String)
    except pl.exceptions.ComputeError:  # bytes that are not UTF-8
        return pl.Series(published.name, [_decoded(v) for v in published], dtype=pl.String)


def is_far(times: pl.Series) -> pl.Series:
    """Return which dates or times lie so far away that Polars can't convert or write them."""
    since, farthest = times.to_physical(), _FARTHEST[_unit(times)]
    return ((since < -farthest) | (since > farthest)).fill_null(value=False)


def with_unit(counts: pl.Series, unit: str) -> pl.Series:
    """Return counts of a unit of time as text, which is then no number.

    >>> with_unit(pl.Series("x", [5]), "ms").item()
    '5 ms'
    """
    text = pl.format("{} {}", pl.col(counts.name), pl.lit(unit))
    return counts.to_frame().select(text.alias(counts.name)).to_series()


def _unit(times: pl.Series) -> str:
    return str(getattr(times.dtype, "time_unit", "days"))


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
