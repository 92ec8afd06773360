import numpy as np
import pytest

from cll.components.metric.standard import accuracy, roc_auc
from cll.pipeline.evaluate.statistics.bootstrap import (
    TAIL,
    BlockedRows,
    draws,
    figures,
    interval,
    tail,
    with_intervals,
)
from cll.pipeline.evaluate.statistics.ranking import rank


def judged(p, y, block, threshold=0.5):
    p, y, block = np.array(p, float), np.array(y, float), np.array(block)
    rows, order = rank(y, p, p >= threshold, np.full(len(p), np.nan))
    return BlockedRows(rows, block[order])


def test_an_interval_of_nothing_is_none():
    assert interval(np.array([np.nan, np.nan]), 50) is None


def test_replicates_where_the_metric_is_undefined_are_left_out():
    assert interval(np.array([np.nan, 1.0, 1.0]), 50) == (1.0, 1.0)
    # One positive in one block: a third of the draws lack it.
    found = figures(judged([0.9, 0.1, 0.2], [1, 0, 0], [0, 1, 1]), {"auc": roc_auc}, 100, 3)
    assert np.isnan(found.replicates["auc"]).any()
    assert with_intervals(found) == {"auc": {"value": 1.0, "low": 1.0, "high": 1.0}}


def test_an_undefined_metric_is_left_out():
    found = figures(judged([0.9, 0.1], [0, 0], [0, 1]), {"auc": roc_auc, "acc": accuracy}, 20, 3)
    assert list(with_intervals(found)) == ["acc"]


def test_a_draw_has_as_many_blocks_as_there_are():
    assert {draw.sum() for draw in draws(blocks=30, replicates=50, seed=1)} == {30}


def test_the_seed_decides_the_draws():
    first, again, other = (np.array(list(draws(30, 5, seed))) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_rows_of_one_block_are_drawn_together():
    rows = judged([0.9, 0.8, 0.1, 0.2], [1, 1, 1, 1], [0, 0, 1, 1])
    drawn = figures(rows, {"acc": accuracy}, 200, 1).replicates["acc"]
    assert set(drawn.tolist()) == {0.0, 0.5, 1.0}


def test_equal_models_differ_by_exactly_nothing():
    left = figures(judged([0.9, 0.4, 0.1], [1, 1, 0], [0, 1, 2]), {"acc": accuracy}, 50, 1)
    # The same answers in another ranking: the draws belong to blocks, not to ranks.
    right = figures(judged([0.7, 0.1, 0.4], [1, 1, 0], [0, 1, 2]), {"acc": accuracy}, 50, 1)
    assert with_intervals(left - right) == {"acc": {"value": 0.0, "low": 0.0, "high": 0.0}}


def test_a_difference_is_taken_over_the_metrics_that_both_have():
    rows = judged([0.9, 0.4, 0.1], [1, 1, 0], [0, 1, 2])
    both = {"acc": accuracy, "auc": roc_auc}
    assert list((figures(rows, both, 20, 1) - figures(rows, {"auc": roc_auc}, 20, 1)).values) == [
        "auc"
    ]


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng, truth, hits, worlds = np.random.default_rng(5), 0.7, 0, 150
    for world in range(worlds):
        right = rng.random(60) < truth  # 60 blocks of five rows that agree
        y = np.ones(300)
        p = np.repeat(right, 5) * 0.8 + 0.1
        found = figures(judged(p, y, np.repeat(np.arange(60), 5)), {"acc": accuracy}, 200, world)
        low, high = interval(found.replicates["acc"], found.evidence)
        hits += low <= truth <= high
    assert 0.88 <= hits / worlds <= 0.99


def test_rows_drawn_one_by_one_would_give_a_narrower_interval():
    p, y = np.repeat([0.9, 0.1, 0.9, 0.9, 0.1, 0.9], 50), np.ones(300)
    widths = []
    for block in (np.repeat(np.arange(6), 50), np.arange(300)):
        drawn = figures(judged(p, y, block), {"acc": accuracy}, 200, 1).replicates["acc"]
        low, high = interval(drawn, 50)
        widths.append(high - low)
    assert widths[0] > 4 * widths[1]


def test_few_blocks_widen_the_interval_and_many_leave_it_as_stated():
    drawn = np.random.default_rng(2).normal(size=4000)
    ends = [interval(drawn, blocks) for blocks in (5, 10, 20, 50, 1000, 10**6)]
    widths = [high - low for low, high in ends]
    assert widths == sorted(widths, reverse=True)
    assert tail(10) == pytest.approx(0.00856, abs=1e-4)
    assert tail(10**6) == pytest.approx(TAIL, abs=1e-6)


@pytest.mark.parametrize("blocks", [0, 1])
def test_one_block_tells_no_spread_so_the_interval_is_all_that_was_drawn(blocks):
    assert interval(np.array([0.2, 0.5, 0.9]), blocks) == (0.2, 0.9)


def test_the_evidence_is_the_blocks_with_a_positive_row_or_all_where_none_has_one():
    blocks = [0, 0, 1, 1, 2, 2]
    some = figures(judged([0.9] * 6, [1, 1, 0, 1, 0, 0], blocks), {"acc": accuracy}, 20, 1)
    none = figures(judged([0.9] * 6, [0] * 6, blocks), {"acc": accuracy}, 20, 1)
    assert (some.evidence, none.evidence) == (2, 3)
    assert (some - none).evidence == 2


def test_a_difference_turned_round_has_its_ends_exchanged():
    rows = judged([0.9, 0.4, 0.1, 0.7], [1, 1, 0, 0], [0, 1, 2, 3])
    other = judged([0.8, 0.6, 0.3, 0.2], [1, 1, 0, 0], [0, 1, 2, 3])
    apart = figures(rows, {"auc": roc_auc}, 50, 1) - figures(other, {"auc": roc_auc}, 50, 1)
    one, turned = with_intervals(apart)["auc"], with_intervals(-apart)["auc"]
    assert turned["value"] == -one["value"]
    assert (turned["low"], turned["high"]) == pytest.approx((-one["high"], -one["low"]))
