from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from cll.pipeline.evaluate.statistics import data_facts

START = datetime(2026, 1, 1, tzinfo=UTC)


def rows(positives, negatives):
    """Rows of one entity, every five minutes, whose `cpu` is the label itself."""
    label = [1] * positives + [0] * negatives
    time = [START + timedelta(minutes=5 * k) for k in range(len(label))]
    return pl.DataFrame({"entity": "a", "time": time, "label": label, "cpu": label})


def moved(frame):
    return frame.with_columns(pl.col("time") + timedelta(days=1))


@pytest.mark.parametrize(("positives", "negatives"), [(0, 50), (1, 2), (9, 50), (50, 9)])
def test_a_column_that_tells_fewer_than_ten_of_a_class_apart_is_no_suspect(positives, negatives):
    train = rows(positives, negatives)
    found = data_facts.leakage(train, moved(train), ["cpu"])
    assert found == {"shared_rows": 0, "late_train_rows": 0}


def test_a_column_that_tells_ten_of_each_class_apart_is_a_suspect():
    found = data_facts.leakage(rows(10, 10), moved(rows(10, 10)), ["cpu"])
    assert (found["best_column"], found["best_column_auc"]) == ("cpu", 1)


def test_every_row_is_trained_on_held_out_or_embargoed():
    part = ["train"] * 4 + ["other"] * 2 + ["holdout"] * 3
    found = data_facts.counts(rows(3, 6).with_columns(part=pl.Series(part)))
    assert (found["rows"], found["train_rows"], found["embargoed"], found["holdout_rows"]) == (
        9,
        4,
        2,
        3,
    )


def held(**changes):
    columns = {"entity": ["a", "a", "b"], "time": [1, 2, 2], "label": [0, 1, 0]} | changes
    return pl.DataFrame(columns).with_columns(
        pl.col("time").cast(pl.Datetime("us", "UTC")), pl.col("label").cast(pl.Int8)
    )


def test_the_id_of_a_holdout_names_its_rows_their_blocks_and_the_draws():
    block = np.array([0, 0, 1])
    others = [
        data_facts.holdout_id(held(entity=["a", "b", "b"]), block, 300, 0),
        data_facts.holdout_id(held(entity=["a", "a", "c"]), block, 300, 0),
        data_facts.holdout_id(held(time=[1, 2, 3]), block, 300, 0),
        data_facts.holdout_id(held(label=[0, 1, 1]), block, 300, 0),
        data_facts.holdout_id(held(), np.array([0, 1, 2]), 300, 0),
        data_facts.holdout_id(held(), block, 301, 0),
        data_facts.holdout_id(held(), block, 300, 1),
    ]
    own = data_facts.holdout_id(held(), block, 300, 0)
    assert own == data_facts.holdout_id(held(), block, 300, 0)
    assert len({own, *others}) == 1 + len(others)
