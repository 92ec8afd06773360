"""The chosen mirror of the ledger, brought in line with it: a mirror shows, and never decides."""

from pathlib import Path

from cll.config import components
from cll.config.project import load_tree
from cll.model import ledger_entries
from cll.release import ledger
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError, Unavailable
from cll.types.verdicts import Released


def sync(root: Path) -> list[str]:
    """Make the mirror say what the committed ledger says; return what had to be done."""
    now = ledger.read(root)
    entries = now.committed
    node = load_tree(Workspace(root)).get("mirror")
    if not entries:
        raise ConfigError(
            f"{ledger_entries.PATH}: nothing was released yet, so there is nothing to mirror."
        )
    if node is None:
        raise ConfigError("resolved.yaml: mirror: not there; run `dvc repro`.")
    releases = [
        Released(entry.version, commit, entry.why)
        for entry, commit in zip(entries, now.commits, strict=False)
        if entry.kind == "release"
    ]
    mirror = components.build("mirror", node)
    try:
        return list(mirror(root, releases, entries[-1].version))
    except CllError:
        raise
    except Exception as error:  # noqa: BLE001  each registry fails in its own way
        says = str(error).strip().split("\n", 1)[0].rstrip(".")
        raise Unavailable(f"mirror: {says}; the ledger stands; `cll registry sync`.") from None
