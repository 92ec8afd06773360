"""Bring ingest up to date for a command, and accept files that were rewritten or are gone."""

from collections.abc import Sequence

from cll.config.project import load_tree, load_world
from cll.pipeline.ingest import arrival_log
from cll.pipeline.ingest import stage as ingest_stage
from cll.system.partitions import SealedFolder
from cll.system.workspace import Workspace


def is_behind(ws: Workspace) -> bool:
    """Tell whether the source reads other files now than the project's signals were made of."""
    seen = arrival_log.see(ws, ingest_stage.source_of(load_tree(ws)), load_world(ws).as_of)
    tree, world = load_tree(ws), load_world(ws)
    wanted = ingest_stage.key(tree, world, seen.files)
    return bool(SealedFolder(ws.signals).key.get("inputs") != wanted["inputs"])


def accept(ws: Workspace, files: Sequence[str]) -> list[str]:
    """Take files of the source that were rewritten, or are gone, as they are now."""
    if not files:
        return []
    source = ingest_stage.source_of(load_tree(ws))
    return arrival_log.accept(ws, source, files, load_world(ws).as_of)
