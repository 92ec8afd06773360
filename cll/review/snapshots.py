"""The two sides of a comparison, read: what git holds at a revision, and what lies in a folder."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from cll.config import yaml_loader
from cll.review.compare import Side
from cll.types.errors import DataRefused
from cll.vcs.revision import Revision

Read = Callable[[str], bytes | None]


def at(revision: Revision) -> Side:
    """Read what git holds there."""
    return _side(revision.read, f" at {revision}", "name another revision")


def of_folder(root: Path) -> Side:
    """Read what lies in the project's folder."""

    def read(name: str) -> bytes | None:
        path = root / name
        return path.read_bytes() if path.is_file() else None

    return _side(read, "", "run `dvc repro` again")


def _side(read: Read, where: str, way: str) -> Side:
    def tree(name: str) -> dict[str, Any] | None:
        data = read(name)
        if data is None:
            return None
        try:
            if not name.endswith(".json"):
                return yaml_loader.parse(Path(f"{name}{where}"), data.decode())
            found = json.loads(data)
        except ValueError as error:
            raise DataRefused(f"{name}{where}: damaged: {error}; {way}.") from None
        if not isinstance(found, dict):
            raise DataRefused(f"{name}{where}: not a mapping; {way}.")
        return found

    return Side(
        metrics=tree("metrics.json"),
        counts=tree("reports/ingest.json"),
        draws=_draws(read("reports/draws.csv"), f"reports/draws.csv{where}", way),
        resolved=tree("resolved.yaml"),
        world=tree("world.yaml"),
        schema=tree("registry/schema.yaml"),
        verdict=tree("reports/verdict.json"),
    )


def _draws(data: bytes | None, name: str, way: str) -> pl.DataFrame | None:
    if data is None:
        return None
    try:
        frame = pl.read_csv(io.BytesIO(data), infer_schema_length=None)
        return frame.cast(pl.Float64)
    except pl.exceptions.PolarsError as error:
        says = str(error).split("\n", 1)[0]
        raise DataRefused(f"{name}: damaged: {says}; {way}.") from None
