"""Cache of a replay's trainings, shared by all replays of a project.

Policies often train the same candidate: all of them begin with the same training, and some train on
the same rows later. Such a candidate is fitted once.
"""

import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cll.config.fingerprint import code, libraries
from cll.config.project import Tree
from cll.model.artifact import Predictor
from cll.pipeline.dataset import tables
from cll.pipeline.dataset.labelled import Dataset
from cll.pipeline.train import candidate
from cll.system.workspace import Workspace
from cll.types.arrays import FileCache
from cll.types.times import format_instant

# Config groups that decide when to train and what to do with the candidate, not how to train it.
_NOT_OF_TRAINING = frozenset({"code", "trigger", "replay", "release", "mirror", "evaluate", "gate"})


@dataclass(frozen=True)
class CandidateFitter:
    """Trains candidates with one config; with a cache (`keep`) it trains each only once."""

    tree: Tree
    keep: FileCache | None = None
    follows_from: Mapping[str, Any] | None = None  # data, code and config: the cache key

    def __call__(
        self, rows: Dataset, as_of: datetime, champion: Predictor | None
    ) -> tuple[Mapping[str, bytes], float]:
        """Return a candidate's files, and the CPU seconds that its training took.

        A candidate from the cache has the CPU seconds of its first training, so that the cost of a
        policy does not depend on other replays.
        """
        if self.keep is None:
            return self._fit(rows, as_of, champion)
        base = champion if candidate.reads_champion(self.tree) else None
        training = {"as_of": format_instant(as_of), "base": base.model_id if base else "none"}

        def make(path: Path) -> None:
            files, seconds = self._fit(rows, as_of, champion)
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in files.items():
                    archive.writestr(name, data)
                archive.comment = repr(seconds).encode()

        entry = self.keep({"fit": training, **(self.follows_from or {})}, make)
        with zipfile.ZipFile(entry) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
            return files, float(archive.comment)

    def _fit(
        self, rows: Dataset, as_of: datetime, champion: Predictor | None
    ) -> tuple[Mapping[str, bytes], float]:
        begin = time.process_time()
        files = candidate.fit(rows, self.tree, as_of, champion=champion)
        return files, time.process_time() - begin


def shared_fitter(ws: Workspace, tree: Tree, keep: FileCache) -> CandidateFitter:
    """Return a fitter that shares its results with all replays of this project.

    Its cache key holds all that a training depends on: code, libraries, data and config.
    """
    gate = {"metric": tree["gate"]["metric"]}  # the update `race` reads it
    config = {
        name: node for name, node in tree.items() if name not in _NOT_OF_TRAINING | {"choices"}
    }
    choices = {
        name: choice for name, choice in tree["choices"].items() if name not in _NOT_OF_TRAINING
    }
    made_of = {
        "code": code("train", tree),
        "libraries": libraries(),
        "data": tables.digest(ws),
        "config": {**config, "choices": choices, "gate": gate},
    }
    return CandidateFitter(tree, keep, made_of)
