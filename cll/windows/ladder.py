"""Running sums of many blocks at once: all of them climb in step, from their heads or their tails.

A place's sum is added up one row after another, so it depends on the rows below it alone, whatever
blocks climb beside its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cll.values import Floats

Integers = NDArray[np.int64]

_FEW = 8  # blocks that end one by one, where the others have ended


@dataclass(frozen=True)
class Ladder:
    """Places for rows: the first row of each block, then the second of each, and so on.

    Longer blocks stand before shorter ones, so that those that go on lie side by side. Where only a
    few go on, what is left of each stands in one piece, behind the last step.
    """

    place: Integers  # of each row
    row: Integers  # at each place
    steps: list[list[int]]  # where the step below begins, this one, and the next
    rests: list[list[int]]  # the place below or -1, where a rest begins, and where it ends

    def up(self, laid: Floats, pick: np.ufunc = np.add) -> None:
        """Let each place hold the sum (or the least, or the most) from its block's head to it."""
        for below, here, stop in self.steps:
            part = laid[here:stop]
            pick(part, laid[below : below + stop - here], out=part)
        for below, here, stop in self.rests:
            part = laid[here:stop]
            if below >= 0:
                pick(part[0], laid[below], out=part[0])
            pick.accumulate(part, axis=0, out=part)

    def down(self, laid: Floats, pick: np.ufunc = np.add) -> None:
        """Let each place hold the sum (or the least, or the most) from its block's tail to it."""
        for below, here, stop in self.rests:
            part = laid[here:stop][::-1]
            pick.accumulate(part, axis=0, out=part)
            if below >= 0:
                pick(laid[below], part[-1], out=laid[below])
        for below, here, stop in reversed(self.steps):
            part = laid[below : below + stop - here]
            pick(part, laid[here:stop], out=part)


def ladder(sizes: Integers) -> Ladder:
    """Let blocks of these sizes climb in step, whose rows follow each other."""
    order = np.argsort(-sizes, kind="stable")
    falling = sizes[order]
    height = int(falling[_FEW]) if len(sizes) > _FEW else 0
    across = len(sizes) - np.searchsorted(falling[::-1], np.arange(height), side="right")
    begins = np.append(0, np.cumsum(across))
    left = np.maximum(falling[:_FEW] - height, 0)
    ends = begins[-1] + np.cumsum(left)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    place = _places(sizes, rank, begins, ends - left)
    row = np.empty_like(place)
    row[place] = np.arange(len(place))
    below = begins[height - 1] + np.arange(len(left)) if height else np.full(len(left), -1)
    rests = np.column_stack((below, ends - left, ends))[left > 0]
    steps = np.column_stack((begins[:-2], begins[1:-1], begins[2:]))
    return Ladder(place, row, steps.tolist(), rests.tolist())


def _places(sizes: Integers, rank: Integers, begins: Integers, rests: Integers) -> Integers:
    """Place each row on its step, or behind all steps."""
    height = len(begins) - 1
    heads = np.cumsum(sizes) - sizes
    step = np.arange(sizes.sum()) - np.repeat(heads, sizes)
    place: Integers = begins[np.minimum(step, height)]
    place += np.repeat(rank, sizes)
    high = np.flatnonzero(step >= height)
    if len(high):
        of = np.repeat(rank, sizes)[high]
        place[high] = rests[of] + step[high] - height
    return place
