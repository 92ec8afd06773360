"""The windows of one length over some columns, joined when first asked for, and what is asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from cll.values import Floats
from cll.windows import moments
from cll.windows.climb import Climb
from cll.windows.columns import Columns
from cll.windows.moments import Window
from cll.windows.rolling import Blocks, Rows
from cll.windows.scratch import Scratch

_LEAST_PAST = 3  # values without which a z-score says nothing


@dataclass(frozen=True)
class Pane:
    """The windows of one length over columns that lie side by side."""

    rows: Rows
    blocks: Blocks
    columns: Columns
    scratch: Scratch = field(default_factory=Scratch)

    @cached_property
    def climb(self) -> Climb:
        return moments.climb(self.blocks, self.columns, self.scratch)

    @cached_property
    def now(self) -> Window:
        """Return the windows up to and with each row and its ties."""
        return moments.window(self.climb, self.rows.stop)

    @cached_property
    def before(self) -> Window:
        """Return the windows up to each row and its ties."""
        return moments.window(self.climb, self.rows.first, "past ")

    @property
    def missing(self) -> Floats:
        """Return the share of each window's rows whose value is missing."""
        rows = (self.rows.stop - self.blocks.low).astype(np.float64)
        share = self.now.count.reshape(self.columns.values.shape) / rows[:, None]
        return 1 - share.reshape(self.columns.shape)


def _of(statistic: Callable[[Window], Floats], pane: Pane) -> Floats:
    return statistic(pane.now)


def _extreme(pick: np.ufunc, pane: Pane) -> Floats:
    return moments.extreme(pane.blocks, pane.columns, pick, pane.rows.stop, pane.scratch)


ROLLING: dict[str, Callable[[Pane], Floats]] = {
    "mean": partial(_of, moments.mean),
    "std": partial(_of, moments.std),
    "slope": partial(_of, moments.slope),
    "min": partial(_extreme, np.minimum),
    "max": partial(_extreme, np.maximum),
}


def _divide(x: Floats, by: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.divide(x, by, out=np.full_like(x, np.nan), where=by != 0)


def _z(x: Floats, past: Window) -> Floats:
    score = _divide(x - moments.mean(past), moments.std(past))
    return np.where(past.count >= _LEAST_PAST, score, np.nan)


PAST: dict[str, Callable[[Floats, Window], Floats]] = {
    "z": _z,
    "ratio": lambda x, past: _divide(x, moments.mean(past)),
    "change": lambda x, past: x - moments.mean(past),
}
