"""Features of a day that is too big for memory, computed in pieces.

Features that compare entities are computed first, for all entities and one interval of the day at a
time. The other features need an entity's own rows only and are computed for one bucket of entities
at a time. The result is the same to the bit as if the day were computed as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from cll.pipeline.featurize import compute as step
from cll.system import frames as system_frames
from cll.system import manifest
from cll.system.partitions import SealedFolder
from cll.types.components import FeatureSet, TwoPassFeatureSet
from cll.types.tables import Columns

_DAY = timedelta(days=1)
_KEYS = ["entity", "time"]
Bounds = tuple[str, str]  # the first and the last entity of a bucket


@dataclass(frozen=True)
class LargeDay:
    """A day of signals, with the settings and inputs of its features."""

    date: str
    signals: SealedFolder
    reach: Sequence[str]  # the day and the days within its lookback
    columns: Columns
    incidents: pl.DataFrame
    bucket_rows: int  # number of signals that are processed at once

    @property
    def since(self) -> datetime:
        return manifest.midnight(self.date)


def featurize(
    day: LargeDay, feature_set: TwoPassFeatureSet, scratch: Path
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield number and features of each part of the day."""
    for date in day.reach:
        manifest.check_sealed(day.signals.folder, day.signals.files[date])
    own, fleet = feature_set.halves()
    slices = [] if fleet is None else list(_peer_features(day, fleet, scratch))
    names = _featurized(day, feature_set, _scan(day, [day.date]).head(1).collect()).columns
    for number, part in enumerate(manifest.parts(day.signals.files[day.date])):
        frames = []
        for bounds in _buckets(day, day.signals.folder / part):
            in_bucket = pl.col("entity").is_between(pl.lit(bounds[0]), pl.lit(bounds[1]))
            rows = _scan(day, day.reach).filter(
                in_bucket & (pl.col("time") >= day.since - own.lookback)
            )
            features = _featurized(day, own, rows.collect())
            if slices:
                peer_features = pl.scan_parquet(slices).filter(in_bucket).collect().sort(_KEYS)
                features = pl.concat([features, peer_features.drop(_KEYS)], how="horizontal")
            frames.append(features.select(names))
        yield number, pl.concat(frames)


def _peer_features(day: LargeDay, fleet: FeatureSet, scratch: Path) -> Iterator[Path]:
    """Compute the features that compare entities; yield the scratch file of each interval."""
    rows = _scan(day, [day.date]).select(pl.len()).collect().item()
    stretches = -(-rows // day.bucket_rows)
    wait: timedelta = getattr(fleet, "wait", timedelta(0))
    for number in range(stretches):
        start, stop = (day.since + _DAY * n / stretches for n in (number, number + 1))
        within = pl.col("time").is_between(pl.lit(start - fleet.lookback), pl.lit(stop + wait))
        signals = _scan(day, day.reach).filter(within).collect()
        features = step.featurize(signals, fleet, day.columns, day.incidents.clear(), start)
        path = scratch / f"{day.date}-{number}.parquet"
        system_frames.write_scratch(path, features.filter(pl.col("time") < stop))
        yield path


def _featurized(day: LargeDay, feature_set: FeatureSet, rows: pl.DataFrame) -> pl.DataFrame:
    return step.featurize(rows, feature_set, day.columns, day.incidents, day.since)


def _buckets(day: LargeDay, part: Path) -> Iterator[Bounds]:
    """Yield buckets of a part's entities, each with about `bucket_rows` rows including lookback."""
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


def _scan(day: LargeDay, dates: Sequence[str]) -> pl.LazyFrame:
    files = [manifest.parts(day.signals.files[date]) for date in dates]
    paths = [day.signals.folder / name for names in files for name in names]
    return pl.scan_parquet(paths, hive_partitioning=False)
