"""Arrays that pass between steps, and small frozen values that hold them."""

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
    """Masks over the labelled rows: those for training and those of the holdout."""

    train: Flags
    holdout: Flags
    boundary: datetime | None  # the holdout starts here; None when not split in time


# Given a key (a JSON-able mapping) and a function that writes a file, returns the path of the
# cached file for that key; the function is called only where the cache lacks it.
FileCache = Callable[[Mapping[str, Any], Callable[[Path], None]], Path]


@dataclass(frozen=True)
class Matrix:
    """Rows to train on or to score; NaN is a missing value."""

    X: Features  # (rows, features)
    y: Floats  # 0 or 1
    names: tuple[str, ...]
    file_cache: FileCache | None = field(
        default=None, compare=False
    )  # caches what an estimator derives from the rows

    @cached_property
    def sha256(self) -> str:
        """Return the digest of rows, labels and names; it is the key of cached results."""
        checksum = hashlib.sha256(repr((self.names, self.X.shape)).encode())
        checksum.update(np.ascontiguousarray(self.X, dtype=np.float32).data)
        checksum.update(np.ascontiguousarray(self.y, dtype=np.float64).data)
        return checksum.hexdigest()


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows with one model's scores, sorted by `p` from high to low, ties by row.

    Compared by identity, so that an instance can be the key of a cache.
    """

    y: Floats  # 0 or 1
    p: Floats  # probability of 1
    alert: Flags  # p at or above the model's threshold
    unchanged: Floats  # the last known label (0 or 1), NaN where none is known yet
