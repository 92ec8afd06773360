"""Where a run reads and writes, and what its results depend on."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Where a run reads and writes: the project's folder, or a folder of its own (`out`).

    One that is `apart` takes over nothing that was computed before: it proves what is there. One
    that is only `looking` is asked, and remembers nothing.
    """

    root: Path
    out: Path | None = None
    signals_folder: Path | None = None
    features_folder: Path | None = None
    apart: bool = False
    looking: bool = False

    @property
    def results(self) -> Path:
        return self.out or self.root

    @property
    def cache(self) -> Path:
        """Where lies what can be lost, for it can be made again."""
        return (self.results if self.apart else self.root) / ".cll"

    def seeds(self, name: str) -> list[Path]:
        """Where partitions may lie that need not be made again: those of `dvc repro`."""
        return [] if self.apart else [self.root / "data" / name]

    @property
    def signals(self) -> Path:
        return self.signals_folder or self.results / "data" / "signals"

    @property
    def features(self) -> Path:
        return self.features_folder or self.results / "data" / "features"

    @property
    def candidate(self) -> Path:
        return self.results / "models" / "candidate"

    @property
    def reports(self) -> Path:
        return self.results / "reports"

    @property
    def draws(self) -> Path:
        """The candidate's figures in each replicate: what a paired difference is made of."""
        return self.reports / "draws.csv"

    @property
    def resolved(self) -> Path:
        return self.results / "resolved.yaml"

    def released(self, model_id: str) -> Path:
        """Find the folder of a model that was released."""
        return self.root / "registry" / "models" / model_id
