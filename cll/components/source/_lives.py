"""A simulated fleet's hidden chain, lived no further than it is asked for, and each day once."""

from collections.abc import Callable
from functools import cache, cached_property, partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from cll.components.source import _fleet as fleet
from cll.types.arrays import Floats

Chances = Callable[[int, int], Floats]
_KEPT = 2  # days that are kept whole: each is a hundred times the state it leads to


class Lives:
    """The days of one fleet; they may be asked for from several threads."""

    def __init__(self, build: Callable[[], fleet.Fleet], slots: int, drift: int) -> None:
        self._build, self._slots, self._drift = build, slots, drift
        self._states: list[fleet.State] = []
        self._failing: list[NDArray[np.int8]] = []
        self._recent: dict[int, fleet.Day] = {}
        self._lock = Lock()

    @cached_property
    def world(self) -> fleet.Fleet:
        return self._build()

    @cached_property
    def chances(self) -> Chances:
        return cache(partial(fleet.incident_chance, self.world))

    def drift_slot(self, day: int) -> int:
        return self._drift - day * self._slots

    def day(self, day: int) -> fleet.Day:
        with self._lock:
            while len(self._failing) <= day:
                self._live(len(self._failing))
            return self._recent[day] if day in self._recent else self._live(day)

    def failing(self, day: int) -> NDArray[np.int8]:
        """Return by slot and entity: 0 while it doesn't fail, else 1 + kind."""
        if len(self._failing) <= day:
            self.day(day)
        return self._failing[day]

    def _live(self, day: int) -> fleet.Day:
        states = self._states or [fleet.begin(self.world)]
        lived, state = fleet.live(self.world, states[day], day, self.drift_slot(day))
        if day == len(self._failing):
            self._states = [*states, state]
            broken = (lived.kind + 1) * (lived.stage == fleet.BROKEN)
            self._failing.append(broken.astype(np.int8))
            recent = {n: one for n, one in self._recent.items() if n > day - _KEPT}
            self._recent = recent | {day: lived}
        return lived
