"""Parts of the rows that hide in a total: a group of entities, a kind of incident."""

import re
from collections.abc import Iterator

import polars as pl

from cll.types.arrays import Flags
from cll.types.tables import GROUP


def parts(rows: pl.DataFrame, most: int, positives: int) -> Iterator[tuple[str, Flags]]:
    """Yield names and masks: by group (else entity), then by kind of incident.

    `rows`: entity, label, kind, group if there is one. A slice has both classes and at least
    `positives` positive rows; of each sort the `most` with the most positives are kept. A kind's
    slice is its positive rows against all negative ones.
    """
    column = GROUP if GROUP in rows.columns else "entity"
    positive = rows["label"].to_numpy() == 1
    seen: set[str] = set()
    for name in _most(rows, column, most, positives):
        mask = _equals(rows, column, name)
        if (mask & ~positive).any():
            yield _unique(f"{column}={_safe(name)}", seen), mask
    for name in _most(rows, "kind", most, positives):
        mask = ~positive | _equals(rows, "kind", name)
        if not positive.all():
            yield _unique(f"kind={_safe(name)}", seen), mask


def _most(rows: pl.DataFrame, column: str, most: int, positives: int) -> list[str]:
    """List the values with enough positive rows: the richest are chosen, and put in order."""
    counts = (
        rows.filter((pl.col("label") == 1) & pl.col(column).is_not_null())
        .group_by(column, maintain_order=True)
        .agg(count=pl.len())
        .filter(pl.col("count") >= positives)
        .sort(["count", column], descending=[True, False])
    )
    return sorted(counts[column].head(most).to_list())


def _equals(rows: pl.DataFrame, column: str, name: str) -> Flags:
    return (rows[column] == name).fill_null(value=False).to_numpy()


def _safe(name: str) -> str:
    """Keep what a dotted key can hold.

    >>> _safe("web.eu/1")
    'web_eu_1'
    """
    return re.sub(r"[^\w-]", "_", name)


def _unique(key: str, seen: set[str]) -> str:
    """Append a number to a name that became another's when it was made safe."""
    count = next(n for n in range(1, len(seen) + 2) if _numbered(key, n) not in seen)
    seen.add(_numbered(key, count))
    return _numbered(key, count)


def _numbered(key: str, count: int) -> str:
    return key if count == 1 else f"{key}_{count}"
