"""List the records in quarantine by reason and file, and export them for correction."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cll.config.project import load_tree
from cll.maintenance import excerpts
from cll.pipeline.dataset import tables
from cll.pipeline.ingest import stage
from cll.system import disk
from cll.system.console import WIDTH
from cll.system.workspace import Workspace
from cll.types.errors import ConfigError, DataRefused

INDEX = "index.csv"
SMALL = 10_000_000  # bytes; a larger file that is in quarantine as a whole is not exported
_WHOLE = "all of it"  # printed for a whole file in place of a row number
_MAGIC = frozenset("*?[")


def listed(root: Path, reason: str | None = None, file: str | None = None) -> list[dict[str, Any]]:
    """Count the records by reason and file, the largest count first.

    Reasons that differ only in a position or in columns are counted together. `reason` selects
    reasons that contain it, `file` selects by a part of the name or a pattern.
    """
    counted = (
        read(Workspace(root))
        .with_columns(
            pl.col("reason")
            .str.replace(r"^conflicts with .*, known", "conflicts with another record, known")
            .str.replace(r": line \d+ column \d+ \(char \d+\)", "")
        )
        .sort("table", "file", "row", nulls_last=False)
        .group_by("reason", "file", maintain_order=True)
        .agg(
            pl.len().alias("count"),
            pl.first("row", "field"),
            pl.col("value").drop_nulls().first(),
        )
        .sort(pl.col("count"), "reason", "file", descending=[True, False, False])
    )
    if reason is not None:
        lower = pl.col("reason").str.to_lowercase()
        counted = counted.filter(lower.str.contains(reason.lower(), literal=True))
    rows = counted.to_dicts()
    return [
        row for row in rows if file is None or file in row["file"] or fnmatch(row["file"], file)
    ]


def show(
    root: Path, reason: str | None = None, file: str | None = None, *, as_json: bool = False
) -> None:
    """Print the list as a table, or as JSON for programs."""
    rows = listed(root, reason, file)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    if as_json:
        console.out(json.dumps(rows))
        return
    if rows:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("count", justify="right")
        for name in ("reason", "first in", "field", "value"):
            table.add_column(name, overflow="fold")
        for row in rows:
            place = f"{row['file']}:{row['row'] or _WHOLE}"
            cells = (row["reason"], place, row["field"] or "", row["value"] or "")
            table.add_row(f"{row['count']:,}", *map(_plain, cells))
        console.print(table)
    console.out(f"{sum(row['count'] for row in rows):,} records in quarantine.")


def _plain(text: str) -> Text:
    """Return published text as one line, with control characters escaped and markup ignored."""
    return Text("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))


def export(root: Path, folder: Path) -> list[str]:
    """Write each file's bad records as they were published, and an index of the faults.

    Returns a report, line by line.
    """
    ws = Workspace(root)
    path = source_path(ws)
    if path is None:
        return ["The source is simulated: there is nothing to mend."]
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: is not empty; name a folder that is not there yet.")
    if folder.resolve().is_relative_to(base_of(path).resolve()):
        raise ConfigError(f"{folder}: is in source.path, where it would be read; name another.")
    faults, report = read(ws), []
    for name, (file, rows) in exported(faults, path).items():
        data, problem = content(root / file, rows)
        if data is not None:
            disk.write_bytes(folder / name, data)
        report += [f"{file}: {problem}"] if problem else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["file", "row", "field", "value", "reason"]
    writer.writerow(columns)
    writer.writerows(faults.select(columns).sort("file", "row").iter_rows())
    disk.write_bytes(folder / INDEX, text.getvalue().encode())
    return [*report, f"{folder}: {faults.height:,} faults of {faults['file'].n_unique():,} files."]


def content(path: Path, rows: list[int] | None) -> tuple[bytes | None, str]:
    """Return the exported bytes of a file, or None and the reason why nothing is exported."""
    try:
        size = path.stat().st_size
        if rows is not None:
            return excerpts.excerpt(path, rows), ""
        if size > SMALL:
            return None, "all of it is at fault, and it is large: mend a copy of it."
        return path.read_bytes(), ""
    except (OSError, ValueError, EOFError, pl.exceptions.PolarsError) as error:
        return None, f"can't be read as it was ({error}); see the index."


def read(ws: Workspace) -> pl.DataFrame:
    """Read the table of records in quarantine."""
    return tables.quarantine(ws)


def source_path(ws: Workspace) -> str | None:
    """Return the source's path; None if the source is simulated."""
    path = getattr(stage.source_of(load_tree(ws)), "path", None)
    return None if path is None else str(path)


def base_of(path: str) -> Path:
    """Return the folder that a path, a file or a glob starts from.

    >>> base_of("runs/2026-*/*.csv").as_posix()
    'runs'
    """
    parts = Path(path).parts
    fixed = next((i for i, part in enumerate(parts) if _MAGIC & set(part)), len(parts))
    base = Path(*parts[:fixed])
    return base.parent if base.is_file() else base


def exported(faults: pl.DataFrame, path: str) -> Mapping[Path, tuple[str, list[int] | None]]:
    """Return the exported files by name, each with its source file and the bad rows.

    The rows are None for a file that is in quarantine as a whole.
    """
    names: dict[Path, tuple[str, list[int] | None]] = {}
    for file, rows in _by_file(faults):
        inside = _inside(Path(file), base_of(path))
        name = inside if rows is None else excerpts.name_of(inside)
        if name in names:  # for example, a.csv and a.csv.gz in one folder
            name = name.with_stem(f"{name.stem}-{disk.digest(file)[:12]}")
        names[name] = (file, rows)
    return names


def _by_file(faults: pl.DataFrame) -> Iterator[tuple[str, list[int] | None]]:
    for (file,), group in faults.sort("file", "row").group_by("file", maintain_order=True):
        rows = group["row"].to_list()
        yield str(file), None if None in rows else rows


def _inside(file: Path, base: Path) -> Path:
    inside = file.relative_to(base) if file.is_relative_to(base) else Path(file.name)
    if ".." in inside.parts or inside.is_absolute():
        raise DataRefused(f"{file}: not a file of the source; run `dvc repro` again.")
    return inside
