"""No model is in force that was not released: the champion is held against the ledger's lines."""

from pathlib import Path

from cll.model import artifact, ledger_entries
from cll.model.artifact import SUMS, Predictor
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.errors import SecurityRefusal


def in_force(ws: Workspace, champion: str) -> Predictor:
    """Load the model in force, once it was found to be the released one."""
    folder = ws.released(champion)
    refuse_unreleased(ws.root, folder, champion)
    return artifact.load(folder, champion)


def refuse_unreleased(root: Path, folder: Path, champion: str) -> None:
    """Refuse a champion that the ledger does not name, or whose files are not the released ones.

    Before the first release there is no ledger, and what world.yaml names is taken.
    """
    path = root / ledger_entries.PATH
    if not path.is_file():
        return
    entry = ledger_entries.find(
        ledger_entries.parse(path.read_bytes().decode(errors="replace")), champion
    )
    if entry is None:
        raise SecurityRefusal(
            f"world.yaml: champion={champion} was never released; `cll registry list` says what was."
        )
    if (folder / SUMS).is_file() and disk.sha256(folder / SUMS) != entry.sums:
        raise SecurityRefusal(
            f"{folder}: not the files that {entry.version} was released with; remove it, and"
            f" `dvc checkout {folder}.dvc`."
        )
