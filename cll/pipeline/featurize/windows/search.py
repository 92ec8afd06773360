"""Loops that look for rows and places in what is in order."""

from numba import types

from cll.pipeline.featurize.windows.jit import FLOATS, INTEGERS, compiled
from cll.types.arrays import Floats, Integers

_FLAG, _NUMBER, _FOUND = types.boolean, types.int64, types.int64[::1]


@compiled(types.void(INTEGERS, INTEGERS, _NUMBER, _FOUND))
def after(time: Integers, bounds: Integers, width: int, found: Integers) -> None:
    """Write the entity's first row later than `width` before each row."""
    for entity in range(len(bounds) - 1):
        low = bounds[entity]
        for row in range(low, bounds[entity + 1]):
            while time[row] - time[low] >= width:
                low += 1
            found[row] = low


@compiled(types.void(INTEGERS, INTEGERS, _FOUND, INTEGERS, _NUMBER, types.int64[:, ::1]))
def latest(
    time: Integers,
    bounds: Integers,
    following: Integers,
    instants: Integers,
    max_age: int,
    found: Integers,
) -> None:
    """Write each entity's latest row by instants that rise, -1 if it is `max_age` old or older.

    `following` is of each entity the row behind those of earlier instants, and is moved on.
    """
    for line in range(len(instants)):
        for entity in range(len(following)):
            row = following[entity]
            while row < bounds[entity + 1] and time[row] <= instants[line]:
                row += 1
            following[entity] = row
            known = row > bounds[entity] and instants[line] - time[row - 1] < max_age
            found[line, entity] = row - 1 if known else -1


@compiled(
    types.void(types.Array(types.float64, 2, "C", readonly=True), INTEGERS, FLOATS, _FLAG, _FOUND)
)
def count(order: Floats, line: Integers, x: Floats, ties: bool, found: Integers) -> None:  # noqa: FBT001
    """Write how much of its line of `order` lies below each `x`, or ties with it."""
    for row in range(len(x)):
        values, low, left = order[line[row]], 0, order.shape[1]
        while left > 0:  # without a branch on what is compared, which no processor foresees
            half = (left + 1) // 2
            seen = values[low + half - 1]
            below = (seen < x[row]) | (ties & (seen == x[row]))
            low += half * below
            left -= half
        found[row] = low
