"""Load the champion after checking it against the ledger."""

from pathlib import Path

from cll.config.project import load_world
from cll.model import artifact, ledger_entries
from cll.model.artifact import SUMS, Predictor
from cll.system import disk
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError, SecurityRefusal


def folder(ws: Workspace, name: str) -> Path:
    """Return the folder of a model that is named `candidate`, `champion`, or by a path."""
    if name == "candidate":
        return ws.candidate
    if name == "champion":
        name = load_world(ws).champion
        if name == "none":
            raise ConfigError(
                "world.yaml: champion=none: there is no champion yet; release a model first."
            )
        return ws.released(name)
    return Path(name)


def load(ws: Workspace, champion: str) -> Predictor:
    """Load the champion, after checking that its files are the released ones."""
    released = ws.released(champion)
    refuse_unreleased(ws.root, released, champion)
    return artifact.load(released, champion)


def refuse_unreleased(root: Path, released: Path, champion: str) -> None:
    """Refuse a champion that the ledger does not name, or whose files are not the released ones.

    Before the first release there is no ledger, so any model that world.yaml names is accepted.
    """
    path = root / ledger_entries.PATH
    if not path.is_file():
        return
    entry = ledger_entries.find(
        ledger_entries.parse(path.read_bytes().decode(errors="replace")), champion
    )
    if entry is None:
        raise SecurityRefusal(
            f"world.yaml: champion={champion} was never released; `cll registry list` lists the releases."
        )
    if (released / SUMS).is_file() and disk.sha256(released / SUMS) != entry.sums:
        raise SecurityRefusal(
            f"{released}: not the files that {entry.version} was released with; remove it, and"
            f" `dvc checkout {released}.dvc`."
        )
