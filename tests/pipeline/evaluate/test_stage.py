import copy
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cll.config.project import load_tree, load_world
from cll.model import artifact
from cll.pipeline.dataset import labelled, tables
from cll.pipeline.evaluate import stage
from cll.system import disk
from tests.build import small


@pytest.fixture
def case(tmp_path_factory):
    """A dataset of its own, and what a judge of it is told besides."""
    ws = small.fleet(tmp_path_factory)
    tree = load_tree(ws)
    stage._LAST.clear()
    models = {"candidate": artifact.load(ws.candidate)}
    columns = tables.columns(ws).numeric
    return labelled.load(ws, tree, load_world(ws)), models, tables.incidents(ws), columns, tree


def told(case):
    found = stage.judge(*case)
    return disk.json_bytes(found.metrics), found.draws, found.curves["scores"]


def same(left, right):
    return left[0] == right[0] and all(
        a.equals(b) for a, b in zip(left[1:], right[1:], strict=True)
    )


def later(rows):
    """The same rows, of which fewer teach."""
    first = rows.rows["time"].min() + (rows.rows["time"].max() - rows.rows["time"].min()) / 4
    train = rows.split.train & (rows.rows["time"] >= first).to_numpy()
    part = np.where(train, "train", np.where(rows.split.holdout, "holdout", "other"))
    parted = rows.rows.with_columns(part=pl.Series(part))
    return replace(rows, rows=parted, split=replace(rows.split, train=train))


def settled(tree, **settings):
    tree = copy.deepcopy(dict(tree))
    tree["evaluate"] |= settings
    return tree


def test_what_was_prepared_for_other_rows_or_settings_is_not_taken(case):
    rows, models, incidents, columns, tree = case
    others = [
        (later(rows), models, incidents, columns, tree),
        (rows, models, incidents, columns[1:], tree),
        (rows, models, incidents, columns, settled(tree, replicates=40)),
        (rows, models, incidents, columns, settled(tree, paired=["roc_auc"])),
    ]
    first = told(case)
    for other in others:
        stage._LAST.clear()
        alone = told(other)
        told(case)
        after = told(other)
        assert same(after, alone)
        assert not same(after, first)
    assert same(told(case), first)


def test_a_second_model_is_judged_the_same_whether_or_not_one_was_judged_before(case):
    rows, models, *told_besides = case
    other = {"candidate": replace(models["candidate"], slope=0.5, threshold=0.1)}
    alone = told((rows, other, *told_besides))
    stage._LAST.clear()
    first = told(case)
    ground = stage._LAST[0][2]
    assert same(told((rows, other, *told_besides)), alone)
    assert stage._LAST[0][2] is ground
    assert not same(first, alone)


def test_a_candidate_against_a_champion_is_judged_the_same_on_prepared_ground(case):
    rows, models, *told_besides = case
    weaker = replace(models["candidate"], intercept=-1.0)
    both = (rows, models | {"champion": weaker}, *told_besides)
    alone = told(both)
    stage._LAST.clear()
    told(case)
    assert same(told(both), alone)


def test_no_more_than_the_last_ground_is_remembered_and_no_rows_are_held_by_it(case):
    _, *told_besides = case
    for _ in range(3):
        stage.judge(later(case[0]), *told_besides)
        assert len(stage._LAST) == 1
        assert stage._LAST[0][0]() is None
