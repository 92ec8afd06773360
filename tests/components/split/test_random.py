from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.components.split.random import Random
from cll.types.errors import DataRefused

START = datetime(2026, 1, 1, tzinfo=UTC)
NONE = timedelta(0)


def rows(labels: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {"entity": "a", "time": [START] * len(labels), "label": labels},
        schema_overrides={"label": pl.Int8},
    )


def test_a_share_that_rounds_to_no_row_is_refused():
    with pytest.raises(DataRefused, match=r"split.holdout=0.1 leaves no row to judge by: 4 labell"):
        Random(holdout=0.1)(rows([0, 1, 0, 1]), NONE, 0)


def test_every_row_is_on_one_side_and_the_share_is_held_out():
    split = Random(holdout=0.2)(rows([0, 1] * 500), NONE, 0)
    assert split.holdout.sum() == 200
    assert (split.train ^ split.holdout).all()
    assert split.boundary is None


def test_the_seed_draws_the_rows():
    frame = rows([0, 1] * 50)
    assert Random()(frame, NONE, 1).holdout.tolist() == Random()(frame, NONE, 1).holdout.tolist()
    assert Random()(frame, NONE, 1).holdout.tolist() != Random()(frame, NONE, 2).holdout.tolist()
