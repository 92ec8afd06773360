"""Read the files that `cll diff` compares, from a git revision or from the project's folder."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from cll.config import yaml_loader
from cll.review.compare import ProjectState
from cll.types.errors import DataRefused
from cll.vcs.revision import Revision

ReadFile = Callable[[str], bytes | None]  # returns None where the file does not exist


def read_revision(revision: Revision) -> ProjectState:
    """Return the state of the project that is committed at a revision."""
    return _state(revision.read, f" at {revision}", "name another revision")


def read_folder(root: Path) -> ProjectState:
    """Return the state of the project in its folder, committed or not."""

    def read(name: str) -> bytes | None:
        path = root / name
        return path.read_bytes() if path.is_file() else None

    return _state(read, "", "run `dvc repro` again")


def _state(read: ReadFile, where: str, way_out: str) -> ProjectState:
    def tree(name: str) -> dict[str, Any] | None:
        data = read(name)
        if data is None:
            return None
        try:
            if not name.endswith(".json"):
                return yaml_loader.parse(Path(f"{name}{where}"), data.decode())
            content = json.loads(data)
        except ValueError as error:
            raise DataRefused(f"{name}{where}: damaged: {error}; {way_out}.") from None
        if not isinstance(content, dict):
            raise DataRefused(f"{name}{where}: not a mapping; {way_out}.")
        return content

    return ProjectState(
        metrics=tree("metrics.json"),
        counts=tree("reports/ingest.json"),
        draws=_draws(read("reports/draws.csv"), f"reports/draws.csv{where}", way_out),
        resolved=tree("resolved.yaml"),
        world=tree("world.yaml"),
        schema=tree("registry/schema.yaml"),
        verdict=tree("reports/verdict.json"),
    )


def _draws(data: bytes | None, name: str, way_out: str) -> pl.DataFrame | None:
    if data is None:
        return None
    try:
        frame = pl.read_csv(io.BytesIO(data), infer_schema_length=None)
        return frame.cast(pl.Float64)
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise DataRefused(f"{name}: damaged: {reason}; {way_out}.") from None
