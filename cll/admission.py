"""No model is in force that was not released: the champion is held against the ledger's lines."""

from pathlib import Path

from cll import artifact, chain, store
from cll.artifact import SUMS, Predictor
from cll.errors import SecurityRefusal
from cll.workspace import Workspace


def in_force(ws: Workspace, champion: str) -> Predictor:
    """Load the model in force, once it was found to be the released one."""
    folder = ws.released(champion)
    refuse_unreleased(ws.root, folder, champion)
    return artifact.load(folder, champion)


def refuse_unreleased(root: Path, folder: Path, champion: str) -> None:
    """Refuse a champion that the ledger does not name, or whose files are not the released ones.

    Before the first release there is no ledger, and what world.yaml names is taken.
    """
    path = root / chain.PATH
    if not path.is_file():
        return
    entry = chain.find(chain.parse(path.read_bytes().decode(errors="replace")), champion)
    if entry is None:
        raise SecurityRefusal(
            f"world.yaml: champion={champion} was never released; `cll registry list` says what was."
        )
    if (folder / SUMS).is_file() and store.sha256(folder / SUMS) != entry.sums:
        raise SecurityRefusal(
            f"{folder}: not the files that {entry.version} was released with; remove it, and"
            f" `dvc checkout {folder}.dvc`."
        )
