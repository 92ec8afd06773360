"""Simulate independent runs that fail if two KPIs exceed their thresholds, with some noise."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge, Interval

from cll.types.arrays import Floats
from cll.types.records import Arrived, Chunk, Piece
from cll.types.tables import INSTANT, OUTCOME, OUTCOME_KNOWN_AT, REJECTS, TRUTH_PREFIX, Columns
from cll.types.times import Instant, format_instant

_KPIS = ("cpu_usage", "memory_usage", "error_rate", "response_time")
_TRUTH = TRUTH_PREFIX + OUTCOME
_THRESHOLDS = np.array([65.0, 65.0, 0.08, 1.3])
_STRESS = 0.65  # share of each KPI that comes from a random number common to all four


@dataclass(frozen=True)
class Classic:
    """One run a minute, each with its own entity, since the runs are independent."""

    seed: Annotated[int, Ge(0)] = 7
    start: Instant = datetime(2026, 1, 1, tzinfo=UTC)
    rows: Annotated[int, Ge(1)] = 1000
    noise: Annotated[float, Interval(ge=0, le=0.5)] = 0.05

    @property
    def columns(self) -> Columns:
        return Columns(_KPIS, outcome=True, truth=(_TRUTH,))

    @property
    def reads(self) -> tuple[Path, ...]:
        return ()

    def __call__(self, as_of: datetime, files: Sequence[Arrived]) -> Iterator[Piece]:
        """Yield all runs, also those after `as_of`, which ingest leaves out; there are no incidents."""
        del as_of, files
        key = {**asdict(self), "start": format_instant(self.start)}
        yield Piece("signals", "classic", key, self._runs)

    def _runs(self) -> Chunk:
        rng = np.random.Generator(np.random.Philox(self.seed))
        kpis = _kpis(rng.random((self.rows, len(_KPIS))), rng.random((self.rows, 1)))
        over = (kpis > _THRESHOLDS).sum(axis=1)
        chance = np.where(over > 1, 1 - self.noise, self.noise)
        outcome = (rng.random(self.rows) < chance).astype(np.float64)
        number = pl.int_range(1, self.rows + 1, dtype=pl.Int64, eager=True)
        time = pl.lit(self.start, INSTANT) + pl.duration(minutes=pl.col("row") - 1)
        runs = pl.DataFrame({name: kpis[:, i] for i, name in enumerate(_KPIS)}).with_columns(
            number.alias("row"), pl.Series(OUTCOME, outcome), pl.Series(_TRUTH, chance)
        )
        rows = runs.select(
            pl.format("run-{}", pl.col("row").cast(pl.String).str.zfill(4)).alias("entity"),
            *(time.alias(name) for name in ("time", "known_at")),
            *(*_KPIS, OUTCOME),
            time.alias(OUTCOME_KNOWN_AT),
            _TRUTH,
            pl.lit("classic").alias("file"),
            "row",
        )
        return Chunk("signals", rows, pl.DataFrame(schema=REJECTS), self.rows)


def _kpis(own: Floats, stress: Floats) -> Floats:
    """Return KPIs in percent, percent, share and seconds from own and shared uniform numbers."""
    mixed = (1 - _STRESS) * own + _STRESS * stress
    cpu, memory, errors, latency = mixed.T
    scaled = (100 * cpu, 100 * memory, 0.2 * errors**2, 0.1 + 2.9 * latency**2)
    return np.stack([v.round(d) for v, d in zip(scaled, (2, 2, 5, 4), strict=True)], axis=1)
