"""The committed schema's place, and what a refusal leaves behind for `cll schema accept`."""

from collections.abc import Mapping
from pathlib import Path

from cll.config import yaml_loader
from cll.config.project import Tree
from cll.pipeline.ingest.schema import form
from cll.pipeline.ingest.schema.form import Schema
from cll.system import disk

SCHEMA = Path("registry") / "schema.yaml"
REFUSED = "refused_schema.json"  # in reports/: what the last ingest refused to take


def read(folder: Path) -> dict[str, Schema]:
    """Read the committed schema: a section a source; none where there is no file yet."""
    path = folder / SCHEMA
    return form.from_tree(yaml_loader.load_yaml(path), str(SCHEMA)) if path.is_file() else {}


def write(folder: Path, sections: Mapping[str, Schema]) -> None:
    """Write all sections."""
    disk.write_bytes(folder / SCHEMA, form.as_text(sections).encode())


def source_name(tree: Tree, *, fell_back: bool) -> str:
    """Name the section: the experiment, since it maps data of its own, else the source.

    Where another source stands in for the one that is chosen, it is that one's.
    """
    return str(tree["source"]["fallback"] if fell_back else tree["schema"])
