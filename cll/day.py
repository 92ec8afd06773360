"""One day of signals, out of the pieces that have rows of it, in parts that memory can hold.

A part holds whole entities, about `bucket_rows` rows of them, in their order: where the parts are
cut follows from the records alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from cll import packing, settling, store
from cll.partitions import Renewal
from cll.profile import merged, profile
from cll.segments import Facts, Segments
from cll.values import Columns, format_instant, parse_instant

_NONE = {"duplicate": 0, "pending": 0, "quarantined": 0}
Bounds = tuple[str, str]  # the first and the last entity of a part


@dataclass(frozen=True)
class Making:
    """What days are made of, and how."""

    renewal: Renewal
    segments: Segments
    columns: Columns
    as_of: datetime
    bucket_rows: int


def renew(making: Making, date: str, pieces: Mapping[str, Facts]) -> None:
    """Keep a day that stands; else settle it. It depends on `as_of` while some of it isn't known."""
    waits = max(parse_instant(one["last"]) for one in pieces.values()) > making.as_of
    (name, only), *others = pieces.items()
    if not (others or waits or only["repeats"] or only["rows"] > making.bucket_rows):
        _take_over(making, date, name, only)
        return
    rows = sorted((one["sha256"], name) for name, one in pieces.items())
    made_of = {"rows": rows, "as_of": format_instant(making.as_of) if waits else None}
    if not making.renewal.keep(date, made_of):
        _settle(making, date, list(pieces), made_of)


def _take_over(making: Making, date: str, name: str, only: Facts) -> None:
    """Take a piece's rows as they are: they are all of the day, all known, and none stands twice."""
    if making.renewal.keep(date, only["sha256"]):
        return
    taken = store.part(date)
    making.renewal.put(taken, making.segments.take(name, date, making.renewal.staging / taken))
    whole = {"rows": only["rows"], "profile": making.segments.profile(name, date)}
    making.renewal.add(date, only["sha256"], {**_NONE, **whole})


def _settle(making: Making, date: str, pieces: Sequence[str], made_of: object) -> None:
    told: dict[str, Any] = {**_NONE, "rows": 0}
    profiles, rejects = [], []
    for number, bounds in enumerate(_buckets(making, date, pieces)):
        frames = (making.segments.rows(name, date, bounds) for name in pieces)
        found = settling.settle(pl.concat(frames), making.columns, making.as_of)
        told["duplicate"] += found.duplicate
        told["pending"] += found.pending
        told["rows"] += found.kept.height
        told["quarantined"] += found.quarantine.height
        rejects.append(found.quarantine)
        if found.kept.height:
            part = store.part(date, number)
            making.renewal.put(part, packing.write(making.renewal.staging / part, found.kept))
            profiles.append(profile(found.kept, making.columns))
    if profiles:
        told["profile"] = merged(profiles)
    if told["quarantined"]:
        making.renewal.stage(store.rejected(date), pl.concat(rejects))
    making.renewal.add(date, made_of, told)


def _buckets(making: Making, date: str, pieces: Sequence[str]) -> Iterator[Bounds | None]:
    """Yield the bounds of each part; None where one part holds all."""
    rows = sum(making.segments.count(name, date) for name in pieces)
    if rows <= making.bucket_rows:
        yield None
        return
    entities = pl.concat(making.segments.entities(name, date) for name in pieces)
    counted = entities.group_by("entity").agg(pl.sum("rows")).sort("entity")
    part = (pl.col("rows").cum_sum() - 1) // making.bucket_rows
    bounds = counted.group_by(part.alias("part"), maintain_order=True).agg(
        first=pl.first("entity"), last=pl.last("entity")
    )
    yield from bounds.select("first", "last").rows()
