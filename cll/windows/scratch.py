"""Arrays that are used again: fresh ones cost more than what is worked out in them."""

from dataclasses import dataclass, field
from math import prod

import numpy as np

from cll.values import Floats
from cll.windows.ladder import Integers


@dataclass(frozen=True)
class Scratch:
    """Named arrays of one thread; what one holds lasts until it is asked for again."""

    _flat: dict[str, Floats] = field(default_factory=dict)

    def floats(self, name: str, *shape: int) -> Floats:
        """Return an array of any content."""
        size = prod(shape)
        if name not in self._flat or len(self._flat[name]) < size:
            self._flat[name] = np.empty(size)
        return self._flat[name][:size].reshape(shape)

    def integers(self, name: str, *shape: int) -> Integers:
        """Return an array of any content, apart from those of floats."""
        return self.floats(f"{name} of integers", *shape).view(np.int64)
