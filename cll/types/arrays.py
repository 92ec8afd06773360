"""Arrays that steps pass on, and the small values made of them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


Features = NDArray[np.float32]


Integers = NDArray[np.int64]


Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Which labelled rows a model may learn from, and which judge it; masks over the same rows."""

    train: Flags
    holdout: Flags
    boundary: datetime | None  # the holdout starts here; None when not split in time


# Returns a file that was made once of what the mapping says, by anyone; the callable makes it.
Keep = Callable[[Mapping[str, Any], Callable[[Path], None]], Path]


@dataclass(frozen=True)
class Matrix:
    """Rows to learn from or to score: NaN is a missing value."""

    X: Features  # (rows, features)
    y: Floats  # 0 or 1
    names: tuple[str, ...]
    keep: Keep | None = field(default=None, compare=False)  # for what an estimator makes of them

    @cached_property
    def sha256(self) -> str:
        """The digest of the very rows, labels and names: the key of what follows from them."""
        told = hashlib.sha256(repr((self.names, self.X.shape)).encode())
        told.update(np.ascontiguousarray(self.X, dtype=np.float32).data)
        told.update(np.ascontiguousarray(self.y, dtype=np.float64).data)
        return told.hexdigest()


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows with one model's answers, sorted by `p` from high to low, ties by row.

    Equal to itself alone, so that what follows from it can be remembered.
    """

    y: Floats  # 0 or 1
    p: Floats  # probability of 1
    alert: Flags  # p at or above the model's threshold
    unchanged: Floats  # what no-change says (0 or 1), NaN where it knows nothing yet
