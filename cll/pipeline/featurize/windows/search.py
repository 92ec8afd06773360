"""Compiled loops that search sorted rows and sorted values."""

from numba import types

from cll.pipeline.featurize.windows.jit import FLOATS, INTEGERS, compiled
from cll.types.arrays import Floats, Integers

_FLAG, _NUMBER, _OUT = types.boolean, types.int64, types.int64[::1]


@compiled(types.void(INTEGERS, INTEGERS, _NUMBER, _OUT))
def after(time: Integers, bounds: Integers, width: int, out: Integers) -> None:
    """Write the entity's first row that is less than `width` older than each row."""
    for entity in range(len(bounds) - 1):
        low = bounds[entity]
        for row in range(low, bounds[entity + 1]):
            while time[row] - time[low] >= width:
                low += 1
            out[row] = low


@compiled(types.void(INTEGERS, INTEGERS, _OUT, INTEGERS, _NUMBER, types.int64[:, ::1]))
def latest(
    time: Integers,
    bounds: Integers,
    following: Integers,
    instants: Integers,
    max_age: int,
    out: Integers,
) -> None:
    """Write each entity's latest row at ascending instants; -1 if it is `max_age` old or older.

    `following` holds each entity's first row after the previous instant; it is updated in place.
    """
    for line in range(len(instants)):
        for entity in range(len(following)):
            row = following[entity]
            while row < bounds[entity + 1] and time[row] <= instants[line]:
                row += 1
            following[entity] = row
            is_young = row > bounds[entity] and instants[line] - time[row - 1] < max_age
            out[line, entity] = row - 1 if is_young else -1


@compiled(
    types.void(types.Array(types.float64, 2, "C", readonly=True), INTEGERS, FLOATS, _FLAG, _OUT)
)
def count(order: Floats, line: Integers, x: Floats, ties: bool, out: Integers) -> None:  # noqa: FBT001
    """Write how many values in the line of `order` are below each `x` (with `ties`, or equal)."""
    for row in range(len(x)):
        values, low, left = order[line[row]], 0, order.shape[1]
        while left > 0:  # no branch depends on the comparison, since it would be mispredicted
            half = (left + 1) // 2
            value = values[low + half - 1]
            below = (value < x[row]) | (ties & (value == x[row]))
            low += half * below
            left -= half
        out[row] = low
