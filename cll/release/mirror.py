"""Synchronization of the configured mirror with the ledger; the ledger alone decides."""

from pathlib import Path

from cll.config import components
from cll.config.project import load_tree
from cll.model import ledger_entries
from cll.release import ledger
from cll.system.workspace import Workspace
from cll.types.errors import CllError, ConfigError, Unavailable
from cll.types.verdicts import Released


def sync(root: Path) -> list[str]:
    """Bring the mirror in line with the committed ledger; return a line per change."""
    releases = ledger.read(root)
    entries = releases.committed
    node = load_tree(Workspace(root)).get("mirror")
    if not entries:
        raise ConfigError(
            f"{ledger_entries.PATH}: nothing was released yet, so there is nothing to mirror."
        )
    if node is None:
        raise ConfigError("resolved.yaml: mirror: missing; run `dvc repro`.")
    released = [
        Released(entry.version, commit, entry.why)
        for entry, commit in zip(entries, releases.commits, strict=False)
        if entry.kind == "release"
    ]
    mirror = components.build("mirror", node)
    try:
        return list(mirror(root, released, entries[-1].version))
    except CllError:
        raise
    except Exception as error:  # noqa: BLE001  each registry fails in its own way
        reason = str(error).strip().split("\n", 1)[0].rstrip(".")
        raise Unavailable(
            f"mirror: {reason}; the ledger is unaffected; try again: `cll registry sync`."
        ) from None
