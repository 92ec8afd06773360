"""Field: the mapping from a published to a canonical column, and text functions for the casts."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from cll.pipeline.ingest.readers.limits import Limits

Kind = Literal["name", "instant", "number", "outcome"]


@dataclass(frozen=True)
class Field:
    """One canonical column, and its conversion from a published one."""

    name: str
    column: str
    kind: Kind
    factor: float = 1  # a number is multiplied by this,
    divisor: float = 1  # and divided by this (/ 100 rounds correctly, * 0.01 does not)
    required: bool = False
    time_format: str = "iso"  # form of an instant: iso, an epoch of EPOCHS, or a strptime format
    zone: str | None = None  # time zone of instants that name none; null refuses them
    longest: int = Limits.text_length  # most bytes of a name

    @property
    def needed(self) -> bool:
        """Whether a JSON file without this key in any record is refused."""
        return self.kind == "number" or self.name in {"entity", "time", "start"}


# About 7,900 years before and after 1970, in each unit of dates and times.
_FARTHEST = {
    "days": 2_900_000,
    "ms": 250_000_000_000_000,
    "us": 250_000_000_000_000_000,
    "ns": 2**63 - 1,
}

Wrong = list[tuple[pl.Series, str]]  # a mask and the reason for it


def text_of(published: pl.Series) -> pl.Series:
    """Return text stripped of blanks; blank text becomes null."""
    text = pl.col(published.name).str.strip_chars()
    return published.to_frame().select(pl.when(text != "").then(text)).to_series()


def is_blank(text: pl.Series) -> pl.Series:
    """Return a mask of text that is null or blank."""
    # Blanks sort before "!" or after ASCII, so most columns need no stripping.
    if not ((text < "!") | (text > "\x7f")).any():
        return text.is_null()
    return text.is_null() | (text.str.strip_chars() == "")


def as_text(published: pl.Series) -> pl.Series:
    """Return values of any type as text, as CSV would have them; null if they have no text."""
    if published.dtype == pl.Boolean:
        words = pl.when(pl.first()).then(pl.lit("true")).when(~pl.first()).then(pl.lit("false"))
        return published.to_frame().select(words.alias(published.name)).to_series()
    if published.dtype.is_nested() or published.dtype == pl.Object:
        texts = [None if value is None else str(value) for value in published.to_list()]
        return pl.Series(published.name, texts, dtype=pl.String)
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
    """Return a mask of the dates or times that are too far away for Polars to convert."""
    since, farthest = times.to_physical(), _FARTHEST[_unit(times)]
    return ((since < -farthest) | (since > farthest)).fill_null(value=False)


def with_unit(counts: pl.Series, unit: str) -> pl.Series:
    """Return counts with their unit of time as text, so that they are not taken as numbers.

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
