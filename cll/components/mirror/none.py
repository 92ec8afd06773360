"""Mirror that does nothing; the ledger alone lists the releases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cll.types.verdicts import Released


@dataclass(frozen=True)
class NoMirror:
    """Accept any releases, write nothing and report nothing."""

    def __call__(self, root: Path, releases: Sequence[Released], in_force: str) -> list[str]:
        del root, releases, in_force
        return []
