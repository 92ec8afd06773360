"""Never fire: only the first training happens by itself, later ones if a person starts them."""

from collections.abc import Sequence
from dataclasses import dataclass

from cll.types.triggers import Reason, Situation


@dataclass(frozen=True)
class Never:
    """Never fires; a baseline that shows the cost of keeping a model forever."""

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        del situation
        return [Reason("never", False, None, None, "Nothing asks for a training.", 0.0)]  # noqa: FBT003
