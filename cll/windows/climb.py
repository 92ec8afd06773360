"""What is summed over windows: columns climb their blocks from both sides, on a ladder.

Sums count from a value and a time of the window itself: the first of its younger half, or the last
of its older half where the younger holds none.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cll.values import Floats
from cll.windows.columns import Columns
from cll.windows.ladder import Integers, Ladder, ladder
from cll.windows.rolling import Blocks
from cll.windows.scratch import Scratch

X, XX, XT, TT = range(4)  # kinds of sums, over values x and times t


@dataclass(frozen=True)
class Stretch:
    """Whole blocks of rows, to be climbed."""

    ladder: Ladder
    of: Integers  # each row's block
    values: Floats  # (rows, columns)
    missing: Integers  # where values are, counting along rows
    clock: Floats | None  # of each row; None: nobody asks for slopes
    scratch: Scratch

    def laid(self, x: Floats, t: Floats, name: str) -> Floats:
        """Lay what is summed out on the ladder, counted from `x` and `t` of each block.

        A last place, of no row, holds 0.
        """
        rows, many = self.values.shape
        kinds = self._kinds
        made = self.scratch.floats("made", kinds, rows, many)
        self._from(x, self.values, made[X])
        np.square(made[X], out=made[XX])
        if self.clock is not None:
            self._from(t, self._times, made[TT])
            np.multiply(made[X], made[TT], out=made[XT])
            np.square(made[TT], out=made[TT])
        laid = self.scratch.floats(name, rows + 1, kinds * many)
        laid[-1] = 0
        out = laid[:-1].reshape(-1, many)
        made.reshape(-1, many).take(self._order, axis=0, out=out, mode="clip")
        return laid

    @property
    def _kinds(self) -> int:
        return XT if self.clock is None else TT + 1

    @cached_property
    def _times(self) -> Floats:
        times = self.scratch.floats("clock", *self.values.shape)
        times.T[:] = self.clock
        return times

    @cached_property
    def _order(self) -> Integers:
        """Return what is made, kind by kind, in the order in which it stands on the ladder."""
        rows = len(self.values)
        order = self.scratch.integers("order", rows, self._kinds)
        np.add.outer(self.ladder.row, rows * np.arange(self._kinds), out=order)
        return order.reshape(-1)

    def _from(self, base: Floats, values: Floats, out: Floats) -> None:
        base.take(self.of, axis=0, out=out, mode="clip")
        np.subtract(values, out, out=out)
        out.reshape(-1)[self.missing] = 0


@dataclass(frozen=True)
class Climb:
    """Columns, and the blocks that their windows are made of."""

    blocks: Blocks
    columns: Columns
    scratch: Scratch

    @cached_property
    def ends(self) -> tuple[Integers, Integers]:
        return self.columns.ends(self.blocks)

    @cached_property
    def first(self) -> Integers:
        """Return the row of each block from which sums count."""
        return np.minimum(self.ends[0], len(self.columns.values) - 1)

    @cached_property
    def base(self) -> Floats:
        return np.take_along_axis(self.columns.values, self.first, axis=0)

    @cached_property
    def up(self) -> Floats:
        """Return the sums from each block's head to each place."""
        laid = self._stretch.laid(self.base, self.blocks.clock[self.first], "up")
        self.blocks.ladder.up(laid)
        return laid

    @cached_property
    def down(self) -> Floats:
        """Return the sums from each place to its block's tail, counted as the next block's are."""
        x, t = self.base, self.blocks.clock[self.first] + self.blocks.width
        laid = self._stretch.laid(np.roll(x, -1, axis=0), np.roll(t, -1, axis=0), "down")
        self.blocks.ladder.down(laid)
        return laid

    @cached_property
    def _stretch(self) -> Stretch:
        blocks, columns = self.blocks, self.columns
        clock = None if columns.time is None else blocks.clock
        return Stretch(
            blocks.ladder, blocks.of, columns.values, columns.missing, clock, self.scratch
        )

    def without_younger(self, stop: Integers) -> tuple[Integers, Integers]:
        """Return the rows, and of each the column, of which the younger half holds no value."""
        heads, (first, _) = self.blocks.heads, self.ends
        block, column = np.nonzero(stop[heads][:, None] <= first)
        ends = np.searchsorted(stop, first[block, column], side="right")
        sizes = np.minimum(ends, self.blocks.tails[block]) - heads[block]
        shift = heads[block] - (np.cumsum(sizes) - sizes)
        return np.arange(sizes.sum()) + np.repeat(shift, sizes), np.repeat(column, sizes)

    def alone(self, rows: Integers, column: Integers) -> tuple[Floats, Integers]:
        """Return the sums from each of some rows to its block's tail, and where they count from.

        That is the last row of the block: nothing of the next block takes part.
        """
        blocks, values = self.blocks, self.columns.values
        chosen, of = np.unique(blocks.of[rows], return_inverse=True)
        sizes = (blocks.tails - blocks.heads)[chosen]
        lane, heads = np.repeat(np.arange(len(chosen)), sizes), np.cumsum(sizes) - sizes
        taken = np.arange(len(lane)) + (blocks.heads[chosen] - heads)[lane]
        clock = None if self.columns.time is None else blocks.clock[taken]
        before = self.columns.before
        gone = np.flatnonzero(before[taken + 1] == before[taken])
        part = Stretch(ladder(sizes), lane, values[taken], gone, clock, Scratch())
        last = self.ends[1][chosen]
        laid = part.laid(np.take_along_axis(values, last, axis=0), blocks.clock[last], "down")
        part.ladder.down(laid)
        place = part.ladder.place[rows - blocks.heads[chosen][of] + heads[of]]
        kinds = laid.reshape(len(laid), laid.shape[1] // values.shape[1], values.shape[1])
        return kinds[place, :, column].T, last[of, column]
