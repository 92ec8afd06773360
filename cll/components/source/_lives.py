"""Days of a simulated fleet, computed on demand and in order, with the states between them cached."""

from collections.abc import Callable
from functools import cache, cached_property, partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from cll.components.source import _fleet as fleet
from cll.types.arrays import Floats

Chances = Callable[[int, int], Floats]
_KEPT = 2  # days that are cached whole; a day takes a hundred times the memory of a state


class Lives:
    """Days of one fleet; safe to use from several threads."""

    def __init__(self, build: Callable[[], fleet.Fleet], slots: int, drift: int) -> None:
        self._build, self._slots, self._drift = build, slots, drift
        self._states: list[fleet.State] = []
        self._failing: list[NDArray[np.int8]] = []
        self._recent: dict[int, fleet.SimulatedDay] = {}
        self._lock = Lock()

    @cached_property
    def world(self) -> fleet.Fleet:
        return self._build()

    @cached_property
    def chances(self) -> Chances:
        return cache(partial(fleet.incident_chance, self.world))

    def drift_slot(self, day: int) -> int:
        return self._drift - day * self._slots

    def day(self, day: int) -> fleet.SimulatedDay:
        with self._lock:
            while len(self._failing) <= day:
                self._simulate(len(self._failing))
            return self._recent[day] if day in self._recent else self._simulate(day)

    def failing(self, day: int) -> NDArray[np.int8]:
        """Return for each slot and entity 0 if it is not failing, else 1 + kind."""
        if len(self._failing) <= day:
            self.day(day)
        return self._failing[day]

    def _simulate(self, day: int) -> fleet.SimulatedDay:
        states = self._states or [fleet.begin(self.world)]
        simulated, state = fleet.simulate(self.world, states[day], day, self.drift_slot(day))
        if day == len(self._failing):
            self._states = [*states, state]
            broken = (simulated.kind + 1) * (simulated.stage == fleet.BROKEN)
            self._failing.append(broken.astype(np.int8))
            recent = {n: cached for n, cached in self._recent.items() if n > day - _KEPT}
            self._recent = recent | {day: simulated}
        return simulated
