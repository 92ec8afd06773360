"""Simulate a fleet whose telemetry changes before incidents, with the true chance of each label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import Ge, Interval
from numpy.typing import NDArray

from cll.components.source import _fleet as fleet
from cll.components.source._lives import Chances, Lives
from cll.types.arrays import Flags, Floats
from cll.types.errors import config_error
from cll.types.records import Arrived, Chunk, Piece
from cll.types.tables import (
    GROUP,
    INCIDENTS,
    INSTANT,
    OUTCOME,
    OUTCOME_KNOWN_AT,
    REJECTS,
    TRUTH_PREFIX,
    Columns,
)
from cll.types.times import Duration, Instant, format_duration, format_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY, _HOUR, _SHORTEST = timedelta(days=1), timedelta(hours=1), timedelta(seconds=10)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = 1 << 60  # a step that no simulation reaches
_DIGITS = 8  # digits of a true chance, few enough to be the same on every CPU
_OUTCOMES, _MISSING, _LATE, _DUPLICATES = 3, 4, 5, 6  # streams of random numbers

Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class Synthetic:
    """A simulated fleet; its `truth_*` columns are true chances, which only a simulator knows."""

    seed: Annotated[int, Ge(0)] = 7
    start: Instant = datetime(2026, 1, 1, tzinfo=UTC)
    entities: Annotated[int, Ge(1)] = 20
    step: Duration = timedelta(minutes=5)
    label_delay: Duration = timedelta(hours=1)
    incident_delay: Duration = timedelta(minutes=10)
    drift_at: Instant | None = None
    drift: Share = 1.0
    missing: Share = 0.0
    late: Share = 0.0
    late_by: Duration = timedelta(hours=6)
    duplicates: Share = 0.0
    truth_horizons: tuple[Duration, ...] = (timedelta(minutes=30),)

    def __post_init__(self) -> None:
        """Refuse a start, step or horizon that does not fit into whole days."""
        if (self.start - _EPOCH) % _DAY:
            raise config_error("source.start", format_instant(self.start), "start at midnight UTC.")
        if not _SHORTEST <= self.step <= _HOUR or _DAY % self.step:
            way_out = "write a divisor of a day, from 10s to 1h."
            raise config_error("source.step", format_duration(self.step), way_out)
        if max(self._horizons()) > _DAY:
            longest = format_duration(max(self.truth_horizons))
            raise config_error("source.truth_horizons", longest, "write spans of at most 1d.")

    @property
    def columns(self) -> Columns:
        truth = (TRUTH_PREFIX + OUTCOME, *(_truth_of(span) for span in self._horizons()))
        return Columns(fleet.KPIS, outcome=True, group=True, truth=truth)

    @property
    def reads(self) -> tuple[Path, ...]:
        return ()

    def __call__(self, as_of: datetime, files: Sequence[Arrived]) -> Iterator[Piece]:
        """Yield each day's signals, then the incidents; a step that begins at `as_of` is left out.

        A day is simulated when its piece is read. All pieces share the states of earlier days.
        """
        del files
        days = -(-max(0, self._steps_before(as_of)) // (_DAY // self.step))
        slots, rows = _DAY // self.step, self.entities * (_DAY // self.step)
        build = partial(fleet.build, self.seed, self.entities, slots, self.drift)
        drift = _NEVER if self.drift_at is None else self._steps_before(self.drift_at)
        lives, handed = Lives(build, slots, drift), 0
        for day in range(days):
            until = min(as_of, self.start + (day + 1) * _DAY)
            key = {"day": day, "until": format_instant(until)}
            yield Piece("signals", "synthetic", key, partial(self._day, lives, day, until, handed))
            handed += rows + int(self._repeated(day, rows).sum()) if self.duplicates else rows
        key = {"incidents": True, "as_of": format_instant(as_of)}
        yield Piece("incidents", "synthetic", key, partial(self._failed, lives, as_of))

    def _day(self, lives: Lives, day: int, until: datetime, before: int) -> Chunk:
        simulated = lives.day(day)
        complete = self._signals(lives.world, simulated, day).with_columns(
            self._truths(simulated, lives.chances, lives.drift_slot(day))
        )
        rows = self._delivered(complete, day).filter(pl.col("time") < until)
        return _chunk("signals", rows, before)

    def _failed(self, lives: Lives, as_of: datetime) -> Chunk:
        steps = max(0, self._steps_before(as_of))
        failing = [lives.failing(day) for day in range(-(-steps // (_DAY // self.step)))]
        none = np.zeros((0, self.entities), np.int8)
        return _chunk("incidents", self._incidents(np.concatenate([none, *failing])[:steps]), 0)

    def _steps_before(self, instant: datetime) -> int:
        return -((self.start - instant) // self.step)

    def _horizons(self) -> tuple[timedelta, ...]:
        return tuple(sorted({timedelta(0), *self.truth_horizons}))

    def _signals(self, world: fleet.Fleet, simulated: fleet.SimulatedDay, day: int) -> pl.DataFrame:
        """Return one day's signals by time and entity, before any are lost, late or repeated."""
        names = pl.Series([_name(i) for i in range(self.entities)])
        groups = pl.Series([fleet.GROUPS[i] for i in world.group])
        each = np.tile(np.arange(self.entities), world.slots)
        steps = day * world.slots + np.repeat(np.arange(world.slots), self.entities)
        fails = _outcome_chance(world, simulated).ravel().round(_DIGITS)
        chance = fleet.random(self.seed, _OUTCOMES, day).random(len(each))
        rows = pl.DataFrame({"entity": names.gather(each), "time": self._instants(steps)})
        return rows.with_columns(
            pl.col("time").alias("known_at"),
            *(pl.Series(n, simulated.kpis[..., i].ravel()) for i, n in enumerate(fleet.KPIS)),
            pl.Series(OUTCOME, (chance < fails).astype(np.float64)),
            (pl.col("time") + self.label_delay).alias(OUTCOME_KNOWN_AT),
            groups.gather(each).alias(GROUP),
            pl.Series(TRUTH_PREFIX + OUTCOME, fails),
        )

    def _truths(
        self, simulated: fleet.SimulatedDay, chances: Chances, drift_slot: int
    ) -> list[pl.Series]:
        """Return the chance of an incident within each horizon.

        For horizon 0, whether the entity fails now.
        """
        kind, stage = simulated.kind, simulated.stage
        slots, entities = stage.shape
        at = (np.arange(slots)[:, None], np.arange(entities), kind, stage)
        truths = []
        for span in self._horizons():
            steps = span // self.step
            # A change of regime outside this range does not matter, so the cached chances are reused.
            turn = min(max(drift_slot, 0), slots + steps)
            chance = chances(steps, turn)[at] if span else (stage == fleet.BROKEN) * 1.0
            truths.append(pl.Series(_truth_of(span), chance.ravel().round(_DIGITS), pl.Float64))
        return truths

    def _delivered(self, rows: pl.DataFrame, day: int) -> pl.DataFrame:
        """Return the rows with values lost, and with records delayed and repeated.

        Each of these has its own stream of random numbers, so that one setting does not change the
        draws of another.
        """
        if self.missing:
            lost = fleet.random(self.seed, _MISSING, day).random((len(fleet.KPIS), rows.height))
            rows = rows.with_columns(
                pl.when(pl.Series(gone >= self.missing)).then(pl.col(name)).alias(name)
                for name, gone in zip(fleet.KPIS, lost, strict=True)
            )
        if self.late:
            drawn, share = fleet.random(self.seed, _LATE, day).random((2, rows.height))
            wait = np.ceil(share * self.late_by.total_seconds()) * (drawn < self.late)
            rows = rows.with_columns(
                pl.col("known_at") + pl.duration(seconds=pl.lit(pl.Series(wait)))
            )
        if self.duplicates:
            rows = rows[np.repeat(np.arange(rows.height), 1 + self._repeated(day, rows.height))]
        return rows

    def _repeated(self, day: int, rows: int) -> Flags:
        drawn = fleet.random(self.seed, _DUPLICATES, day).random(rows)
        return drawn < self.duplicates

    def _incidents(self, failing: NDArray[np.int8]) -> pl.DataFrame:
        """Return incidents from the failing steps; the last incident of an entity may be open."""
        steps = len(failing)
        padded = np.pad(failing, ((1, 0), (0, 0)))
        began = np.flatnonzero(((padded[1:] > 0) & (padded[:-1] == 0)).T)  # entity by entity
        ended = np.flatnonzero(((padded[1:] == 0) & (padded[:-1] > 0)).T)
        ends = np.append(ended, padded.size)[np.searchsorted(ended, began)]
        entity, start = np.divmod(began, max(steps, 1))
        end = pl.Series(self._instants(ends - entity * steps))
        incidents = pl.DataFrame(
            {
                "entity": [_name(i) for i in entity],
                "start": self._instants(start),
                "end": end.set(pl.Series(ends // max(steps, 1) > entity), None),
                "kind": [fleet.KINDS[k - 1] for k in failing[start, entity]],
            }
        )
        known_at = (pl.col("start") + self.incident_delay).alias("known_at")
        return incidents.with_columns(known_at).select(*INCIDENTS).sort("start", "entity")

    def _instants(self, steps: NDArray[np.int64]) -> pl.Series:
        begin, step = (self.start - _EPOCH) // _MICROSECOND, self.step // _MICROSECOND
        return pl.Series(begin + steps * step, dtype=pl.Int64).cast(INSTANT)


def _outcome_chance(world: fleet.Fleet, simulated: fleet.SimulatedDay) -> Floats:
    """Return P(a run fails | the hidden level and the stored KPIs of its entity)."""
    usual = np.exp(world.base[:, 2:])
    errors, latency = np.moveaxis(np.minimum(simulated.kpis[..., 2:] / usual, 8), -1, 0)
    crowded = np.maximum(simulated.kpis[..., 0] - 70, 0) * np.maximum(latency - 1, 0)
    logit = -4.2 + 2.2 * simulated.level + 0.3 * (errors - 1) + 0.05 * crowded
    chance: Floats = 1 / (1 + np.exp(-logit))
    return chance


def _truth_of(span: timedelta) -> str:
    return f"{TRUTH_PREFIX}incident_{span // timedelta(seconds=1)}s"


def _name(i: int) -> str:
    return f"agent-{i + 1:03d}"


def _chunk(table: Literal["signals", "incidents"], rows: pl.DataFrame, before: int) -> Chunk:
    numbers = (pl.int_range(pl.len(), dtype=pl.Int64) + before + 1).alias("row")
    rows = rows.with_columns(pl.lit("synthetic").alias("file"), numbers)
    return Chunk(table, rows, pl.DataFrame(schema=REJECTS), rows.height)
