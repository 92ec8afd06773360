"""Simulation of a fleet: a hidden Markov chain for each entity, and telemetry that depends on it.

Each entity is healthy, in a build-up stage of one kind of incident, or broken. The future depends
only on the state of the chain, so the chance of an incident can be computed exactly. Telemetry shows
a stage only through noise, daily load, harmless episodes, and disturbances that the fleet shares.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cll.types.arrays import Floats

Integers = NDArray[np.int64]

KPIS = ("cpu_usage", "memory_usage", "error_rate", "response_time")
KINDS = ("leak", "saturation", "bad_deploy", "slow_dependency")
GROUPS = ("web", "batch", "data")
STAGES = 3  # stages of a build-up: 0 is healthy, 1 to 3 build up, 4 is broken
BROKEN = STAGES + 1

# By kind, in the order of KINDS, unless said otherwise.
_STAGE_MINUTES = np.array([[45, 35, 20], [20, 18, 12], [7, 10, 10], [18, 18, 14]], float)
_HEAL_MINUTES = np.array([240.0, 150.0, 150.0, 150.0])  # until a build-up ends harmlessly
_REPAIR_MINUTES = np.array([25.0, 20.0, 35.0, 30.0])
_LOAD_POWER = np.array([0.0, 2.0, 0.0, 0.5])  # rates grow with the load to this power
_LAG_MINUTES = np.array([30.0, 8.0, 1.0, 8.0])  # telemetry follows a stage with this time constant
_LEVELS = np.array(  # by stage: a leak rises slowly, a bad deploy at once
    [[0, 0.4, 0.7, 1, 1.6], [0, 0.4, 0.8, 1, 1.6], [0, 0.7, 0.9, 1, 1.5], [0, 0.5, 0.8, 1, 1.6]]
)
_GROUP_ONSETS = np.array([[0.8, 1.2, 1.3, 0.9], [1.3, 1.1, 0.8, 0.6], [0.9, 0.7, 0.9, 1.5]])

# By KPI, in the order of KPIS; errors and latency are logarithms.
_GROUP_BASE = np.array([[32, 45, -5.3, -1.6], [42, 38, -5.8, -0.4], [30, 55, -6.0, -2.2]])
_BASE_SPREAD = np.array([5.0, 7.0, 0.4, 0.3])
_LOAD_EFFECT = np.array([22.0, 6.0, 0.3, 0.4])  # effect of a load that is 1 higher; its mean is 1
_SLOW_NOISE = np.array([3.6, 3.2, 0.32, 0.13])
_FAST_NOISE = np.array([3.0, 1.0, 0.3, 0.10])
_WEATHER = np.array([1.0, 0.0, 0.35, 0.18])
_NOISE_MINUTES = np.array([25.0, 240.0, 20.0, 25.0])
_HARMLESS = np.array([26.0, 22.0, 2.4, 1.0])  # batch job, cache, retries, slow queries
_HARMLESS_PER_DAY, _HARMLESS_MINUTES = 4.0, 60.0


@dataclass(frozen=True)
class Regime:
    """Parameters that drift changes: onset rates, and the effect of each kind on KPIs at level 1."""

    onsets_per_day: Floats
    signature: Floats  # (kinds, KPIs)


BEFORE = Regime(
    np.array([0.35, 0.45, 0.35, 0.4]),
    np.array([[2, 20, 0.1, 0.4], [20, 2, 0.2, 0.65], [4, 0, 2.2, 0.55], [-18, 0, 1, 0.9]]),
)
AFTER = Regime(
    np.array([0.2, 0.3, 0.4, 0.8]),
    np.array([[16, -16, 0, -0.3], [-14, 20, 1.6, -0.5], [20, 14, -1, -0.4], [4, 18, -1, 0.8]]),
)


@dataclass(frozen=True)
class Moves:
    """Probabilities of the changes of state in one step of one regime; else the state stays."""

    onset: Floats  # (slots, entities, kinds): healthy to stage 1
    up: Floats  # (slots, entities, kinds, stages): to the next stage, from the last to broken
    down: Floats  # like `up`: back to healthy; from broken, this is a repair


@dataclass(frozen=True)
class Fleet:
    """Entities and the parameters of their chains, for a day of `slots` steps."""

    seed: int
    step_minutes: float
    slots: int
    group: Integers  # (entities,)
    base: Floats  # (entities, KPIs)
    load: Floats  # (slots, entities), around 1
    regimes: tuple[Regime, Regime]
    moves: tuple[Moves, Moves]


@dataclass(frozen=True)
class State:
    """State of the simulation between two steps."""

    kind: Integers  # (entities,); the last one while healthy
    stage: Integers  # (entities,)
    level: Floats  # (entities,): strength of the stage in telemetry
    harmless: Floats  # (entities, KPIs): 0 or 1
    noise: Floats  # (entities + 1, KPIs), of unit variance; the last row is shared by the fleet


@dataclass(frozen=True)
class SimulatedDay:
    """States and KPIs of one day: arrays of (slots, entities, ...)."""

    kind: Integers
    stage: Integers
    level: Floats
    kpis: Floats  # in the stored units, rounded like telemetry


def random(seed: int, stream: int, day: int = 0) -> np.random.Generator:
    """Return the random generator of one day and stream, independent of all earlier draws."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, stream, day))))


def build(seed: int, entities: int, slots: int, drift: float) -> Fleet:
    """Draw the entities; `drift`, from 0 to 1, is the size of the change in the second regime."""
    rng = random(seed, 0)
    group = np.arange(entities) % len(GROUPS)
    base = _GROUP_BASE[group] + _BASE_SPREAD * rng.standard_normal((entities, len(KPIS)))
    swing, phase = rng.uniform(0.25, 0.6, entities), rng.uniform(-0.1, 0.1, entities)
    day = np.arange(slots)[:, None] / slots
    load = 1 + swing * np.sin(2 * np.pi * (day - 0.35 - phase - group / 4))
    frailty = _GROUP_ONSETS[group] * np.exp(0.4 * rng.standard_normal((entities, len(KINDS))))
    after = Regime(
        BEFORE.onsets_per_day + drift * (AFTER.onsets_per_day - BEFORE.onsets_per_day),
        BEFORE.signature + drift * (AFTER.signature - BEFORE.signature),
    )
    minutes = 1440 / slots
    moves = tuple(_moves(r.onsets_per_day * frailty, load, minutes) for r in (BEFORE, after))
    return Fleet(seed, minutes, slots, group, base, load, (BEFORE, after), (moves[0], moves[1]))


def _moves(onsets_per_day: Floats, load: Floats, minutes: float) -> Moves:
    """Return probabilities of competing moves from their rates; their sum is at most 1."""
    haste = load[..., None] ** _LOAD_POWER
    rate = onsets_per_day * haste / 1440
    total = rate.sum(axis=-1, keepdims=True)
    onset = rate / total * -np.expm1(-total * minutes)
    up, down = np.zeros((2, *haste.shape, BROKEN + 1))
    up[..., 1:BROKEN] = haste[..., None] / _STAGE_MINUTES
    down[..., 1:BROKEN] = 1 / _HEAL_MINUTES[:, None]
    down[..., BROKEN] = 1 / _REPAIR_MINUTES
    leaves = up + down
    share = -np.expm1(-leaves * minutes) / np.where(leaves > 0, leaves, 1)
    return Moves(onset, up * share, down * share)


def begin(fleet: Fleet) -> State:
    """Return the state before the first step: all healthy."""
    entities = len(fleet.group)
    zeros = np.zeros(entities, np.int64)
    noise = random(fleet.seed, 1).standard_normal((entities + 1, len(KPIS)))
    return State(zeros, zeros, np.zeros(entities), np.zeros((entities, len(KPIS))), noise)


def simulate(fleet: Fleet, state: State, day: int, drift_slot: int) -> tuple[SimulatedDay, State]:
    """Simulate day number `day`; from slot `drift_slot` on the second regime applies."""
    rng = random(fleet.seed, 2, day)
    shape = (fleet.slots, len(fleet.group))
    kind, stage = _walk(fleet, state, drift_slot, rng.random(shape))
    lag = np.exp(-fleet.step_minutes / _LAG_MINUTES)[kind[1:]]
    level = _follow(state.level, lag, (1 - lag) * _LEVELS[kind[1:], stage[1:]])
    harmless = _episodes(fleet, state.harmless, rng.random((*shape, len(KPIS))))
    keep = np.exp(-fleet.step_minutes / _NOISE_MINUTES)
    shock = rng.standard_normal((fleet.slots, len(fleet.group) + 1, len(KPIS)))
    noise = _follow(state.noise, keep, np.sqrt(1 - keep**2) * shock)
    regime = (np.arange(fleet.slots) >= drift_slot).astype(np.int64)
    shown = np.stack([r.signature for r in fleet.regimes])[regime[:, None], kind[:-1]]
    excess = shown * level[:-1, :, None] + _HARMLESS * harmless[:-1]
    excess += _SLOW_NOISE * noise[:-1, :-1] + _WEATHER * noise[:-1, -1:]
    excess += _FAST_NOISE * rng.standard_normal((*shape, len(KPIS)))
    simulated = SimulatedDay(kind[:-1], stage[:-1], level[:-1], _in_units(fleet, excess))
    return simulated, State(kind[-1], stage[-1], level[-1], harmless[-1], noise[-1])


def _walk(fleet: Fleet, state: State, drift_slot: int, u: Floats) -> tuple[Integers, Integers]:
    """Return kinds and stages of each slot, drawn with uniform numbers `u`.

    There is one row more than slots: the first state of the next day.
    """
    kinds, stages = [state.kind], [state.stage]
    each = np.arange(len(state.kind))
    for slot in range(fleet.slots):
        moves, kind, stage = fleet.moves[int(slot >= drift_slot)], kinds[-1], stages[-1]
        begun = (u[slot, :, None] >= moves.onset[slot].cumsum(axis=-1)).sum(axis=-1)
        up, down = moves.up[slot, each, kind, stage], moves.down[slot, each, kind, stage]
        built = np.where(u[slot] < up, stage + 1, np.where(u[slot] < up + down, 0, stage))
        begins = (stage == 0) & (begun < len(KINDS))
        kinds.append(np.where(begins, begun, kind))
        stages.append(np.where(begins, 1, built))
    return np.stack(kinds), np.stack(stages)


def _follow(first: Floats, keep: Floats, drive: Floats) -> Floats:
    """Return `first` and the values after it; each is `keep` times the one before plus `drive`."""
    values = np.empty((len(drive) + 1, *first.shape))
    values[0] = first
    keep = np.broadcast_to(keep, drive.shape)
    for i in range(len(drive)):
        values[i + 1] = keep[i] * values[i] + drive[i]
    return values


def _episodes(fleet: Fleet, first: Floats, u: Floats) -> Floats:
    """Return 1 for each step of a harmless episode, else 0, drawn with uniform numbers `u`."""
    begins = -np.expm1(-_HARMLESS_PER_DAY * fleet.step_minutes / 1440)
    ends = -np.expm1(-fleet.step_minutes / _HARMLESS_MINUTES)
    values = np.empty((len(u) + 1, *first.shape))
    values[0] = first
    for i in range(len(u)):
        values[i + 1] = np.where(values[i] > 0, u[i] >= ends, u[i] < begins)
    return values


def _in_units(fleet: Fleet, excess: Floats) -> Floats:
    """Return KPIs in percent, percent, share and seconds, rounded like telemetry."""
    kpis = fleet.base + _LOAD_EFFECT * (fleet.load[..., None] - 1) + excess
    kpis[..., :2] = np.clip(kpis[..., :2], 0, 100).round(2)
    kpis[..., 2] = np.exp(np.minimum(kpis[..., 2], 0)).round(6)
    kpis[..., 3] = np.exp(kpis[..., 3]).round(4)
    return kpis


def incident_chance(fleet: Fleet, steps: int, drift_slot: int) -> Floats:
    """Return P(an incident begins within the next `steps` steps | state), for each slot of a day.

    The result has shape (slots, entities, kinds, stages). It is computed backwards: the chance within
    n + 1 steps follows from the moves of one step and the chance within n steps after it. Each step
    uses the regime of its slot; `drift_slot` counts from this day's first slot and may be after it.
    """
    slots = np.arange(fleet.slots + steps) % fleet.slots
    chance = np.zeros((len(slots), len(fleet.group), len(KINDS), BROKEN + 1))
    turn = min(max(drift_slot, 0), len(slots))
    parts = tuple(zip(fleet.moves, (slice(turn), slice(turn, None)), strict=True))
    for _ in range(steps):
        later = chance[1:]
        slots = slots[: len(later)]
        chance = np.concatenate([_one_step_back(moves, slots[p], later[p]) for moves, p in parts])
    return chance


def _one_step_back(moves: Moves, slots: Integers, later: Floats) -> Floats:
    """Return the chance one step before `later`, which has one row for each of `slots`."""
    up, down = moves.up[slots], moves.down[slots]
    ahead = np.concatenate([later[..., 1:], np.zeros_like(later[..., :1])], axis=-1)
    ahead[..., STAGES] = 1.0  # an incident begins when BROKEN is entered
    chance: Floats = up * ahead + down * later[..., :1] + (1 - up - down) * later
    onset = moves.onset[slots]
    stays = (1 - onset.sum(axis=-1)) * later[..., 0, 0]
    chance[..., 0] = ((onset * later[..., 1]).sum(axis=-1) + stays)[..., None]
    return chance
