"""Log of a replay: one record per tick and the trained models, so that a replay can be resumed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cll.model import artifact
from cll.model.artifact import Predictor
from cll.system import disk, links
from cll.types.errors import CllError, DataRefused

TICKS, MODELS = "ticks.jsonl", "models"
NONE = "none"


@dataclass(frozen=True)
class TickRecord:
    """The decisions and costs of one tick; seconds are CPU seconds."""

    as_of: str
    champion: str  # model_id of the champion from this tick until the next
    rows: int  # rows known at `as_of`
    labels: int  # mature labels at `as_of`
    fires: bool
    says: str  # why a trigger fired, or why none did
    candidate: str = ""  # model_id of the training's result; empty where no trigger fired
    answer: str = ""  # the gate's answer; "refused" where the data did not allow a training
    released: bool = False  # the candidate becomes champion at the next tick
    train_seconds: float = 0.0
    judge_seconds: float = 0.0

    @property
    def trained(self) -> bool:
        """True where the candidate is a new model; the update `keep` returns the champion."""
        return bool(self.candidate) and self.candidate != self.champion


class ReplayLog:
    """The tick records so far, and the models that were trained, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[TickRecord] = []
        path = folder / TICKS
        if not path.is_file():
            return
        lines = path.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]  # a kill can cut the last line off
        try:
            self.records = [TypeAdapter(TickRecord).validate_json(line) for line in whole]
        except ValidationError:
            raise DataRefused(
                f"{path}: not written by a replay; remove it and start the replay again."
            ) from None
        disk.write_bytes(path, b"".join(whole))

    def append(self, record: TickRecord) -> None:
        """Append a tick's record to the file; its model must have been written before."""
        self.records.append(record)
        with links.open_text(self.folder / TICKS, "a") as file:
            file.write(json.dumps(asdict(record)) + "\n")

    def write_model(self, files: Mapping[str, bytes], model_id: str) -> None:
        """Write the files of a trained model.

        They are not synced to the disk: a model that a power cut destroys can be trained again.
        """
        folder = disk.fresh(self.folder / MODELS / model_id)
        for name, data in files.items():
            disk.write_scratch_bytes(folder / name, data)

    def load_model(self, model_id: str) -> Predictor:
        """Load a trained model from this folder, after checking its checksums."""
        try:
            return artifact.load(self.folder / MODELS / model_id, model_id)
        except CllError as error:
            reason = str(error).partition("; ")[0]
            raise type(error)(f"{reason}; start the replay again.") from None
