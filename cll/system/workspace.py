"""Paths that a run reads and writes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """Folders of a run: those of the project or, with `out`, of a separate folder for results.

    An `isolated` run reuses no earlier result; it serves to verify them. A `read_only` one writes
    no cache.
    """

    root: Path
    out: Path | None = None
    signals_folder: Path | None = None
    features_folder: Path | None = None
    isolated: bool = False
    read_only: bool = False

    @property
    def results(self) -> Path:
        return self.out or self.root

    @property
    def cache(self) -> Path:
        """Return the folder of caches; it can be deleted without loss."""
        return (self.results if self.isolated else self.root) / ".cll"

    def seeds(self, name: str) -> list[Path]:
        """Return folders whose valid partitions can be copied: those of `dvc repro`."""
        return [] if self.isolated else [self.root / "data" / name]

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
        """Return the file of the candidate's metrics in each bootstrap replicate, for paired differences."""
        return self.reports / "draws.csv"

    @property
    def resolved(self) -> Path:
        return self.results / "resolved.yaml"

    def released(self, model_id: str) -> Path:
        """Return the folder of a released model."""
        return self.root / "registry" / "models" / model_id
