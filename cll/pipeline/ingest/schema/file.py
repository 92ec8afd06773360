"""Paths of the committed schema and of the refused profiles, with reading and writing."""

from collections.abc import Mapping
from pathlib import Path

from cll.config import yaml_loader
from cll.config.project import Tree
from cll.pipeline.ingest.schema import form
from cll.pipeline.ingest.schema.form import Schema
from cll.system import disk

SCHEMA = Path("registry") / "schema.yaml"
REFUSED = "refused_schema.json"  # in reports/: profiles of refused data, for `cll schema accept`


def read(folder: Path) -> dict[str, Schema]:
    """Read the committed schema, one section per source; empty if there is no file yet."""
    path = folder / SCHEMA
    return form.from_tree(yaml_loader.load_yaml(path), str(SCHEMA)) if path.is_file() else {}


def write(folder: Path, sections: Mapping[str, Schema]) -> None:
    """Write all sections."""
    disk.write_bytes(folder / SCHEMA, form.as_text(sections).encode())


def source_name(tree: Tree, *, fell_back: bool) -> str:
    """Return the name of the schema's section: the experiment's, else the source's.

    An experiment maps data of its own. If the fallback replaced the source, it is the fallback's.
    """
    return str(tree["source"]["fallback"] if fell_back else tree["schema"])
