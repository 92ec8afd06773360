"""No training but the first, and what a person asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

from cll.types.triggers import Reason, Situation


@dataclass(frozen=True)
class Never:
    """The model that is there stays; beside other policies it shows what staying costs."""

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        del situation
        return [Reason("never", False, None, None, "Nothing asks for a training.", 0.0)]  # noqa: FBT003
