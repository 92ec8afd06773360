"""Train when enough labels became known since the last training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import polars as pl
from annotated_types import Ge

from cll.types.errors import config_error
from cll.types.triggers import Reason, Situation

Count = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class Data:
    """Fires if a count of labels that became known since the last training reaches its limit.

    The verdict on that training does not matter. A limit of None is no rule.
    """

    rows: Count | None = None
    positives: Count | None = None
    partitions: Count | None = None

    def __post_init__(self) -> None:
        """Refuse a trigger without a rule."""
        if self.rows is None and self.positives is None and self.partitions is None:
            way_out = "it would never fire; set it, positives or partitions."
            raise config_error("trigger.rows", "null", way_out)

    def __call__(self, situation: Situation) -> Sequence[Reason]:
        new = situation.rows.lazy().filter(pl.col("status") == "mature")
        if situation.trained is not None:
            new = new.filter(pl.col("known_at") > situation.trained)
        counts = new.select(
            rows=pl.len(),
            positives=pl.col("label").cast(pl.Int64).sum(),
            partitions=pl.col("time").dt.date().n_unique(),
        ).collect()
        limits = {"rows": self.rows, "positives": self.positives, "partitions": self.partitions}
        nouns = {"rows": "labelled rows", "positives": "positive rows", "partitions": "days"}
        return [
            _reason(name, nouns[name], int(counts[name][0]), limit)
            for name, limit in limits.items()
            if limit is not None
        ]


def _reason(name: str, noun: str, count: int, limit: int) -> Reason:
    says = f"{count:,} {noun} are new since the last training; {limit:,} are enough."
    return Reason(name, count >= limit, count, limit, says)
