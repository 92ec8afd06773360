"""Slices of the holdout, by group of entities and by kind of incident."""

import re
from collections.abc import Iterator

import polars as pl

from cll.types.arrays import Flags
from cll.types.tables import GROUP


def parts(rows: pl.DataFrame, limit: int, positives: int) -> Iterator[tuple[str, Flags]]:
    """Yield name and mask of each slice: by group (or entity), then by kind of incident.

    `rows`: entity, label, kind, and group if there is one. A slice has both classes and at least
    `positives` positive rows. At most `limit` slices by group, and as many by kind, are kept: those
    with the most positive rows. The slice of a kind has its positive rows and all negative rows.
    """
    column = GROUP if GROUP in rows.columns else "entity"
    positive = rows["label"].to_numpy() == 1
    taken: set[str] = set()
    for name in _most(rows, column, limit, positives):
        mask = _equals(rows, column, name)
        if (mask & ~positive).any():
            yield _unique(f"{column}={_safe(name)}", taken), mask
    for name in _most(rows, "kind", limit, positives):
        mask = ~positive | _equals(rows, "kind", name)
        if not positive.all():
            yield _unique(f"kind={_safe(name)}", taken), mask


def _most(rows: pl.DataFrame, column: str, limit: int, positives: int) -> list[str]:
    """Return the values with the most positive rows, at least `positives` each, in sorted order."""
    counts = (
        rows.filter((pl.col("label") == 1) & pl.col(column).is_not_null())
        .group_by(column, maintain_order=True)
        .agg(count=pl.len())
        .filter(pl.col("count") >= positives)
        .sort(["count", column], descending=[True, False])
    )
    return sorted(counts[column].head(limit).to_list())


def _equals(rows: pl.DataFrame, column: str, name: str) -> Flags:
    return (rows[column] == name).fill_null(value=False).to_numpy()


def _safe(name: str) -> str:
    """Return the name with characters replaced that a dotted key can't hold.

    >>> _safe("web.eu/1")
    'web_eu_1'
    """
    return re.sub(r"[^\w-]", "_", name)


def _unique(key: str, taken: set[str]) -> str:
    """Return the key, with a number appended where another slice already has it."""
    count = next(n for n in range(1, len(taken) + 2) if _numbered(key, n) not in taken)
    taken.add(_numbered(key, count))
    return _numbered(key, count)


def _numbered(key: str, count: int) -> str:
    return key if count == 1 else f"{key}_{count}"
