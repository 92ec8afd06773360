"""Stage featurize: read sealed days of signals, write sealed days of features."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from cll.config import components, project
from cll.config.fingerprint import code, libraries
from cll.config.project import Tree
from cll.pipeline.dataset import tables
from cll.pipeline.featurize import compute as step
from cll.pipeline.featurize import large_days
from cll.system import disk, manifest, progress
from cll.system.partitions import Renewal, SealedFolder
from cll.system.stat_cache import open_stat_cache
from cll.system.workspace import Workspace
from cll.types.components import FeatureSet, TwoPassFeatureSet
from cll.types.tables import Columns

_DAY = timedelta(days=1)
_AT_ONCE = 4  # buckets of signals, lookback included, up to which days are computed as a whole


def featurize(ws: Workspace, tree: Tree, _world: project.World) -> None:
    """Compute each day's features from that day and the lookback before it.

    A day whose inputs have not changed is kept. The other days are computed in groups as
    long as the lookback, so no row is read more than twice. A row's features do not depend on
    the rows that are computed together with it.
    """
    feature_set: FeatureSet = components.build("features", tree["features"])
    columns, incidents = tables.columns(ws), tables.incidents(ws)
    signals = SealedFolder(ws.signals)
    with Renewal(ws.features, key(ws, tree), open_stat_cache(ws), ws.seeds("features")) as renewal:
        days = [date for date, entry in sorted(signals.partitions.items()) if entry["rows"]]
        inputs_of = {date: _inputs_of(date, days, signals, feature_set, incidents) for date in days}
        fresh = [date for date in days if not renewal.reuse(date, inputs_of[date])]
        for line in renewal.describe("featurize"):
            progress.note(line)
        visible = incidents if feature_set.reads_incidents else incidents.clear()
        work = _Featurizing(signals, days, feature_set, columns, visible)
        for stretch in progress.track(list(work.stretches(fresh)), "featurize"):
            for date, number, frame in work.featurize(stretch, renewal.scratch):
                renewal.stage(manifest.part(date, number), frame)
                rows = frame.height + renewal.partitions.get(date, {"rows": 0})["rows"]
                renewal.add(date, inputs_of[date], {"rows": rows})
        renewal.publish({})


def key(ws: Workspace, tree: Tree) -> dict[str, Any]:
    """Return the digests of all inputs of the features, as the key of their partitions."""
    return {
        "code": code("featurize", tree),
        "config": tree["features"],
        "libraries": libraries(),
        "inputs": {"signals": disk.sha256(ws.signals / manifest.MANIFEST)},
    }


@dataclass(frozen=True)
class _Featurizing:
    """The signals, the feature set, and the other inputs of the features."""

    signals: SealedFolder
    days: Sequence[str]
    feature_set: FeatureSet
    columns: Columns
    incidents: pl.DataFrame

    def stretches(self, fresh: Sequence[str]) -> Iterator[list[str]]:
        """Yield groups of consecutive days, up to the lookback's length or a bucket's rows."""
        length, stretch = max(1, -(-self.feature_set.lookback // _DAY)), list[str]()
        follows = dict(itertools.pairwise(self.days))
        for date in fresh:
            full = len(stretch) == length or self._rows([*stretch, date]) > self._bucket_rows
            if stretch and (full or follows[stretch[-1]] != date):
                yield stretch
                stretch = []
            stretch.append(date)
        if stretch:
            yield stretch

    def featurize(
        self, stretch: Sequence[str], scratch: Path
    ) -> Iterator[tuple[str, int, pl.DataFrame]]:
        """Yield date, number and features of each part.

        Days too big for memory are computed in groups of entities.
        """
        reach = _within(stretch[0], stretch[-1], self.days, self.feature_set.lookback)
        big = self._rows(reach) > _AT_ONCE * self._bucket_rows
        if isinstance(self.feature_set, TwoPassFeatureSet) and (
            big or self._parts(stretch) > len(stretch)
        ):
            for date in stretch:
                reach = _within(date, date, self.days, self.feature_set.lookback)
                day = large_days.LargeDay(
                    date, self.signals, reach, self.columns, self.incidents, self._bucket_rows
                )
                for number, frame in large_days.featurize(day, self.feature_set, scratch):
                    yield date, number, frame
            return
        files = [self.signals.files[day] for day in reach]
        since = manifest.midnight(stretch[0])
        # Passed without a name of its own, the frame can be freed once it is cut to the lookback.
        frame = step.featurize(
            pl.concat(manifest.read_sealed(self.signals.folder, of_day) for of_day in files),
            *(self.feature_set, self.columns, self.incidents, since),
        )
        for key, of_day in frame.group_by(pl.col("time").dt.date(), maintain_order=True):
            yield str(key[0]), 0, of_day

    @property
    def _bucket_rows(self) -> int:
        return int(self.signals.facts["bucket_rows"])

    def _rows(self, dates: Sequence[str]) -> int:
        return sum(int(self.signals.partitions[date]["rows"]) for date in dates)

    def _parts(self, dates: Sequence[str]) -> int:
        return sum(len(manifest.parts(self.signals.files[date])) for date in dates)


def _inputs_of(
    date: str,
    days: Sequence[str],
    signals: SealedFolder,
    feature_set: FeatureSet,
    incidents: pl.DataFrame,
) -> dict[str, Any]:
    """Return the digests of a day's inputs: signals within reach, and incidents known by its end."""
    reach = _within(date, date, days, feature_set.lookback)
    inputs: dict[str, Any] = {"signals": [signals.files[day] for day in reach], "incidents": None}
    if feature_set.reads_incidents:
        end = manifest.midnight(date) + _DAY
        started = incidents.filter((pl.col("known_at") < end) & (pl.col("start") < end))
        incidents_then = started.with_columns(end=pl.when(pl.col("end") < end).then("end"))
        inputs["incidents"] = hashlib.sha256(incidents_then.write_csv().encode()).hexdigest()
    return inputs


def _within(first: str, last: str, days: Sequence[str], lookback: timedelta) -> list[str]:
    since = (manifest.midnight(first) - lookback).date().isoformat()
    return [day for day in days if since <= day <= last]
