"""What is written down of a replay, tick by tick, so that it goes on where it was broken off."""

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
class Turn:
    """One tick: what was asked, trained, judged and released; seconds are of the processor."""

    as_of: str
    champion: str  # model_id in force from this tick until the next
    rows: int  # known by then
    labels: int  # of these, those that had one
    fires: bool
    says: str  # what asked for a training, or why there was none
    candidate: str = ""  # model_id of what was trained, or stays; empty where nothing was asked
    answer: str = ""  # the gate's; refused where the data could not teach
    released: bool = False  # it is in force from the next tick on
    train_seconds: float = 0.0
    judge_seconds: float = 0.0

    @property
    def trained(self) -> bool:
        """Tell whether the candidate is a new model, and not the one in force, which stays."""
        return bool(self.candidate) and self.candidate != self.champion


class Diary:
    """The turns so far, and the models that were trained, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.turns: list[Turn] = []
        path = folder / TICKS
        if not path.is_file():
            return
        lines = path.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]  # the last may be torn
        try:
            self.turns = [TypeAdapter(Turn).validate_json(line) for line in whole]
        except ValidationError:
            raise DataRefused(
                f"{path}: not what a replay writes; remove it, and begin anew."
            ) from None
        disk.write_bytes(path, b"".join(whole))

    def append(self, turn: Turn) -> None:
        """Write a turn down; its model lies there already."""
        self.turns.append(turn)
        with links.open_text(self.folder / TICKS, "a") as file:
            file.write(json.dumps(asdict(turn)) + "\n")

    def keep(self, files: Mapping[str, bytes], model_id: str) -> None:
        """Write a model that was trained."""
        folder = disk.fresh(self.folder / MODELS / model_id)
        for name, data in files.items():  # what a power cut takes can be made again
            disk.write_scratch_bytes(folder / name, data)

    def model(self, model_id: str) -> Predictor:
        """Read a model that was trained."""
        try:
            return artifact.load(self.folder / MODELS / model_id, model_id)
        except CllError as error:
            found = str(error).partition("; ")[0]
            raise type(error)(f"{found}; begin the replay anew.") from None
