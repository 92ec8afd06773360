"""Check whether ingest is up to date, and accept files that were rewritten or deleted."""

from collections.abc import Sequence

from cll.config.project import load_tree, load_world
from cll.pipeline.ingest import arrival_log
from cll.pipeline.ingest import stage as ingest_stage
from cll.system.partitions import SealedFolder
from cll.system.workspace import Workspace


def is_behind(ws: Workspace) -> bool:
    """Return whether the source's files differ from those that the project's signals come from."""
    arrivals = arrival_log.inspect(ws, ingest_stage.source_of(load_tree(ws)), load_world(ws).as_of)
    tree, world = load_tree(ws), load_world(ws)
    wanted = ingest_stage.key(tree, world, arrivals.files)
    return bool(SealedFolder(ws.signals).key.get("inputs") != wanted["inputs"])


def accept(ws: Workspace, files: Sequence[str]) -> list[str]:
    """Accept the current state of files that were rewritten or deleted; return report lines."""
    if not files:
        return []
    source = ingest_stage.source_of(load_tree(ws))
    return arrival_log.accept(ws, source, files, load_world(ws).as_of)
