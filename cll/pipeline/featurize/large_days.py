"""The features of a day that is too big for memory: by entities, and across them by stretches of time.

What compares entities is computed first, over all of them, a stretch of the day at a time. The rest
needs an entity's own rows only, and is worked in buckets of entities. Neither cut changes a bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from cll.pipeline.featurize import compute as step
from cll.system import frames as system_frames
from cll.system import manifest
from cll.system.partitions import Standing
from cll.types.components import FeatureSet, Halved
from cll.types.tables import Columns

_DAY = timedelta(days=1)
_KEYS = ["entity", "time"]
Bounds = tuple[str, str]  # the first and the last entity of a bucket


@dataclass(frozen=True)
class Day:
    """A day of signals, and what its features are made with."""

    date: str
    signals: Standing
    reach: Sequence[str]  # the days that its features follow from
    columns: Columns
    incidents: pl.DataFrame
    bucket_rows: int  # of signals, that are worked at once

    @property
    def since(self) -> datetime:
        return manifest.midnight(self.date)


def featurize(day: Day, feature_set: Halved, scratch: Path) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the features of each of the day's parts, by the part's number."""
    for date in day.reach:
        manifest.check_sealed(day.signals.folder, day.signals.files[date])
    own, fleet = feature_set.halves()
    slices = [] if fleet is None else list(_across(day, fleet, scratch))
    names = _featurized(day, feature_set, _scan(day, [day.date]).head(1).collect()).columns
    for number, part in enumerate(manifest.parts(day.signals.files[day.date])):
        frames = []
        for bounds in _buckets(day, day.signals.folder / part):
            here = pl.col("entity").is_between(pl.lit(bounds[0]), pl.lit(bounds[1]))
            rows = _scan(day, day.reach).filter(here & (pl.col("time") >= day.since - own.lookback))
            found = _featurized(day, own, rows.collect())
            if slices:
                among = pl.scan_parquet(slices).filter(here).collect().sort(_KEYS)
                found = pl.concat([found, among.drop(_KEYS)], how="horizontal")
            frames.append(found.select(names))
        yield number, pl.concat(frames)


def _across(day: Day, fleet: FeatureSet, scratch: Path) -> Iterator[Path]:
    """Compute what needs all entities of a time; yield the files of each stretch's rows."""
    rows = _scan(day, [day.date]).select(pl.len()).collect().item()
    stretches = -(-rows // day.bucket_rows)
    ahead: timedelta = getattr(fleet, "wait", timedelta(0))
    for number in range(stretches):
        start, stop = (day.since + _DAY * n / stretches for n in (number, number + 1))
        within = pl.col("time").is_between(pl.lit(start - fleet.lookback), pl.lit(stop + ahead))
        seen = _scan(day, day.reach).filter(within).collect()
        found = step.featurize(seen, fleet, day.columns, day.incidents.clear(), start)
        path = scratch / f"{day.date}-{number}.parquet"
        system_frames.write_scratch(path, found.filter(pl.col("time") < stop))
        yield path


def _featurized(day: Day, feature_set: FeatureSet, rows: pl.DataFrame) -> pl.DataFrame:
    return step.featurize(rows, feature_set, day.columns, day.incidents, day.since)


def _buckets(day: Day, part: Path) -> Iterator[Bounds]:
    """Cut a part's entities so that about `bucket_rows` rows of a bucket are within reach."""
    first, last = (
        pl.scan_parquet(part).select(first=pl.min("entity"), last=pl.max("entity")).collect().row(0)
    )
    within = pl.col("entity").is_between(pl.lit(first), pl.lit(last))
    entities = _scan(day, day.reach).filter(within).select("entity").collect(engine="streaming")
    counted = entities.group_by("entity").agg(rows=pl.len()).sort("entity")
    number = (pl.col("rows").cum_sum() - 1) // day.bucket_rows
    bounds = counted.group_by(number.alias("bucket"), maintain_order=True).agg(
        first=pl.first("entity"), last=pl.last("entity")
    )
    yield from bounds.select("first", "last").rows()


def _scan(day: Day, dates: Sequence[str]) -> pl.LazyFrame:
    files = [manifest.parts(day.signals.files[date]) for date in dates]
    paths = [day.signals.folder / name for names in files for name in names]
    return pl.scan_parquet(paths, hive_partitioning=False)
