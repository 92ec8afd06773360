"""Collect a source's records in memory, day by day, for scoring."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

import polars as pl

from cll.pipeline.ingest.admit import Admitted, admit, by_day, quarantined
from cll.pipeline.ingest.deduplicate import Settled, merge, settle, settle_incidents
from cll.types.records import Chunk, Counts
from cll.types.tables import (
    INCIDENTS,
    REJECTS,
    SIGNAL_KEYS,
    Columns,
)


class Intake:
    """Collects a source's chunks in memory; call `take` for all of them before any other method."""

    def __init__(self, columns: Columns, as_of: datetime) -> None:
        self._columns = columns
        self._as_of = as_of
        self._admitted: dict[str, list[Admitted]] = {"signals": [], "incidents": []}
        self._records_in = 0
        self._torn = 0

    def take(self, chunk: Chunk) -> None:
        self._records_in += chunk.records
        self._torn += chunk.pending
        self._admitted[chunk.table].append(admit(chunk, self._columns))

    def days(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield each day (UTC, as YYYY-MM-DD) with its signals, the earliest first."""
        yield from by_day(self._signals.kept)

    def incidents(self) -> pl.DataFrame:
        return merge(self._incidents.kept)

    def quarantine(self) -> pl.DataFrame:
        tables = [chunk.quarantine for table in self._admitted.values() for chunk in table]
        return quarantined([*tables, self._signals.quarantine, self._incidents.quarantine])

    def counts(self) -> Counts:
        parts = (self._signals, self._incidents)
        return Counts(
            records_in=self._records_in,
            kept=sum(part.kept.height for part in parts),
            quarantined=self.quarantine().height,
            duplicate=sum(part.duplicate for part in parts),
            pending=self._torn + sum(part.pending for part in parts),
        )

    @cached_property
    def _signals(self) -> Settled:
        rows = [chunk.rows for chunk in self._admitted["signals"]]
        if not rows:
            return _nothing(SIGNAL_KEYS)
        return settle(pl.concat(rows), self._columns, self._as_of)

    @cached_property
    def _incidents(self) -> Settled:
        rows = [chunk.rows for chunk in self._admitted["incidents"]]
        return settle_incidents(pl.concat(rows), self._as_of) if rows else _nothing(INCIDENTS)


def _nothing(schema: Mapping[str, Any]) -> Settled:
    return Settled(pl.DataFrame(schema=dict(schema)), pl.DataFrame(schema=REJECTS), 0)
