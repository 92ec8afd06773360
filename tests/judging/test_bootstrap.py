import numpy as np

from cll.judging.bootstrap import Judged, draws, figures, interval, with_intervals
from cll.judging.ranking import rank
from cll.metric.standard import accuracy, roc_auc


def judged(p, y, block, threshold=0.5):
    p, y, block = np.array(p, float), np.array(y, float), np.array(block)
    rows, order = rank(y, p, p >= threshold, np.full(len(p), np.nan))
    return Judged(rows, block[order])


def test_an_interval_of_nothing_is_none():
    assert interval(np.array([np.nan, np.nan])) is None


def test_replicates_where_the_metric_is_undefined_are_left_out():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
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
        low, high = interval(found.replicates["acc"])
        hits += low <= truth <= high
    assert 0.88 <= hits / worlds <= 0.99


def test_rows_drawn_one_by_one_would_give_a_narrower_interval():
    p, y = np.repeat([0.9, 0.1, 0.9, 0.9, 0.1, 0.9], 50), np.ones(300)
    widths = []
    for block in (np.repeat(np.arange(6), 50), np.arange(300)):
        low, high = interval(
            figures(judged(p, y, block), {"acc": accuracy}, 200, 1).replicates["acc"]
        )
        widths.append(high - low)
    assert widths[0] > 4 * widths[1]
