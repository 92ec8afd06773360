import numpy as np
import pytest

from cll.pipeline.evaluate.statistics.bootstrap import draws, interval
from cll.verify.power import SEEN, sight

BLOCKS = 60
WEIGHT = np.array(list(draws(BLOCKS, 300, 0)))


def drawn(gain, seed):
    """Redraw the mean of each block's gain."""
    return WEIGHT @ np.random.default_rng(seed).normal(gain, 1.0, BLOCKS) / BLOCKS


def test_nothing_drawn_shows_nothing():
    assert sight(np.full(20, np.nan), 5, 0.0, [1]) == []


@pytest.mark.parametrize("min_gain", [0.0, 0.3])
def test_a_gain_that_can_be_seen_is_promoted_as_often_as_is_said(min_gain):
    worlds = range(400)
    gains = [sight(drawn(0.0, seed), BLOCKS, min_gain, [1])[0].gain for seed in worlds]
    gain = float(np.mean(gains))
    promoted = [interval(drawn(gain, 1000 + seed), BLOCKS)[0] > min_gain for seed in worlds]
    assert np.mean(promoted) == pytest.approx(SEEN, abs=0.06)


def test_four_times_the_blocks_show_half_the_gain_or_a_little_less():
    one, two, four = sight(drawn(0.0, 1), 12, 0.0, [1, 2, 4])
    assert one.gain > two.gain > four.gain
    assert one.gain * 0.4 < four.gain < one.gain / 2


def test_what_has_to_be_cleared_is_added():
    bare, raised = (sight(drawn(0.0, 1), BLOCKS, bound, [1])[0].gain for bound in (0.0, 0.1))
    assert raised == pytest.approx(bare + 0.1)
