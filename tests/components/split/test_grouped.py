from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.components.split.grouped import Grouped
from cll.types.errors import DataRefused
from cll.types.tables import INSTANT

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NONE = timedelta(0)


def rows(entities: int, each: int = 8) -> pl.DataFrame:
    table = [(f"e{e}", START + i * HOUR, i % 2) for e in range(entities) for i in range(each)]
    schema = {"entity": pl.String, "time": INSTANT, "label": pl.Int8}
    return pl.DataFrame(table, schema=schema, orient="row")


def test_one_entity_cannot_be_on_both_sides():
    with pytest.raises(
        DataRefused, match=r"split.holdout=0.25 of 1 entities leaves no row to train on: 8 labelled"
    ):
        Grouped()(rows(1), NONE, 0)


def test_no_entity_is_on_both_sides_and_every_row_is_on_one():
    frame = rows(12)
    split = Grouped(holdout=0.25)(frame, NONE, 0)
    held = set(frame.filter(pl.Series(split.holdout))["entity"])
    assert len(held) == 3
    assert held.isdisjoint(frame.filter(pl.Series(split.train))["entity"])
    assert (split.train | split.holdout).all()
    assert split.boundary is None


def test_the_order_of_rows_does_not_choose_the_entities():
    frame, backwards = rows(12), rows(12).reverse()
    one, other = Grouped()(frame, NONE, 0), Grouped()(backwards, NONE, 0)
    assert one.holdout.tolist() == other.holdout[::-1].tolist()


def test_the_seed_chooses_the_entities():
    choices = {tuple(Grouped()(rows(12), NONE, seed).holdout) for seed in range(5)}
    assert len(choices) > 1


def test_with_a_boundary_neither_entity_nor_time_is_shared():
    frame, boundary = rows(12), START + 4 * HOUR
    split = Grouped(boundary=boundary)(frame, HOUR, 0)
    train, held = frame.filter(pl.Series(split.train)), frame.filter(pl.Series(split.holdout))
    assert set(train["entity"]).isdisjoint(held["entity"])
    assert train["time"].max() + HOUR <= boundary <= held["time"].min()
    assert split.boundary == boundary
