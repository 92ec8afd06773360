"""A replay's candidates, fitted once for all replays that would fit the same, now or later.

Policies often agree: all begin with the same training, and some meet again.
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
from cll.types.arrays import Keep
from cll.types.times import format_instant

# What decides when to train, and on what comes of it: no part of a training.
_BESIDE = frozenset({"trigger", "replay", "release", "mirror", "evaluate", "gate"})


@dataclass(frozen=True)
class Fits:
    """Fits candidates of a project's data by one config; `keep` makes each once."""

    tree: Tree
    keep: Keep | None = None
    follows_from: Mapping[str, Any] | None = None  # data, code and config

    def __call__(
        self, rows: Dataset, as_of: datetime, champion: Predictor | None
    ) -> tuple[Mapping[str, bytes], float]:
        """Return a candidate's files, and how many seconds of the processor its training took."""
        if self.keep is None:
            return self._fit(rows, as_of, champion)
        base = champion if candidate.reads_champion(self.tree) else None
        of = {"as_of": format_instant(as_of), "base": base.model_id if base else "none"}

        def make(path: Path) -> None:
            files, seconds = self._fit(rows, as_of, champion)
            with zipfile.ZipFile(path, "w") as packed:
                for name, data in files.items():
                    packed.writestr(name, data)
                packed.comment = repr(seconds).encode()

        with zipfile.ZipFile(self.keep({"fit": of, **(self.follows_from or {})}, make)) as packed:
            files = {name: packed.read(name) for name in packed.namelist()}
            return files, float(packed.comment)

    def _fit(
        self, rows: Dataset, as_of: datetime, champion: Predictor | None
    ) -> tuple[Mapping[str, bytes], float]:
        begun = time.process_time()
        files = candidate.fit(rows, self.tree, as_of, champion=champion)
        return files, time.process_time() - begun


def shared(ws: Workspace, tree: Tree, keep: Keep) -> Fits:
    """Share what is fitted with all replays of this project."""
    gate = {"metric": tree["gate"]["metric"]}  # by which a race is won
    config = {name: node for name, node in tree.items() if name not in _BESIDE | {"choices"}}
    choices = {name: choice for name, choice in tree["choices"].items() if name not in _BESIDE}
    made_of = {
        "code": code("train", tree),
        "libraries": libraries(),
        "data": tables.made_of(ws),
        "config": {**config, "choices": choices, "gate": gate},
    }
    return Fits(tree, keep, made_of)
