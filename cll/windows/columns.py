"""Columns side by side, as (rows, columns): what is looked up by row serves all of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cll.values import Floats
from cll.windows.rolling import Blocks, Integers


@dataclass(frozen=True)
class Columns:
    """Values side by side, 0 where missing."""

    shape: tuple[int, ...]  # in which results are asked for: of a single column, (rows,)
    values: Floats  # (rows, columns)
    missing: Integers  # where values are, counting along rows
    before: Integers  # (rows + 1, columns): how many values come before each row, and in all
    time: Integers | None  # of each row; None: nobody asks for slopes
    elapsed: Integers | None  # the sum of the times of those that come before each row, and of all

    @cached_property
    def there(self) -> tuple[Integers, ...]:
        """Return of each column the rows whose value is there, and then no row."""
        rows = len(self.values)
        gone = np.zeros(self.values.shape, bool)
        gone.ravel()[self.missing] = True
        return tuple(np.append(np.flatnonzero(~each), rows) for each in gone.T)

    def ends(self, blocks: Blocks) -> tuple[Integers, Integers]:
        """Return the first and the last row of each block whose value is there.

        Where none is, the first is the row behind the block, and the last is any.
        """
        if not len(self.missing):
            ends = np.stack((blocks.heads, blocks.tails - 1))
            first, last = np.repeat(ends[:, :, None], self.values.shape[1], axis=2)
            return first, last
        first, last = np.empty((2, len(blocks.heads), self.values.shape[1]), np.int64)
        for i, there in enumerate(self.there):
            first[:, i] = there[self.before[blocks.heads, i]]
            last[:, i] = there[self.before[blocks.tails, i] - 1]
        return np.minimum(first, blocks.tails[:, None]), np.minimum(last, len(self.values) - 1)


def column(values: Floats, time: Integers | None = None) -> Columns:
    """Take a column, or some that lie side by side; NaN and infinities are missing.

    Slopes need each row's time.
    """
    laid = values[:, None] if values.ndim == 1 else values
    there = np.isfinite(laid)
    missing = np.flatnonzero(~there)
    if len(missing):
        laid = laid.copy()
        laid.reshape(-1)[missing] = 0
    before, elapsed = np.zeros((2, len(laid) + 1, laid.shape[1]), np.int64)
    np.cumsum(there, axis=0, out=before[1:])
    if time is not None:
        elapsed[1:] = time[:, None]
        elapsed[1:].reshape(-1)[missing] = 0
        # It may overflow: what two of them differ by is exact even then.
        np.cumsum(elapsed, axis=0, out=elapsed)
    return Columns(values.shape, laid, missing, before, time, None if time is None else elapsed)
