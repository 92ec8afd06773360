import numpy as np
import pytest

from cll.pipeline.evaluate.statistics.bootstrap import draws, interval
from cll.verify.power import POWER, detectable_gains

BLOCKS = 60
WEIGHT = np.array(list(draws(BLOCKS, 300, 0)))


def drawn(gain, seed):
    """Redraw the mean of each block's gain."""
    return WEIGHT @ np.random.default_rng(seed).normal(gain, 1.0, BLOCKS) / BLOCKS


def test_replicates_without_a_value_give_no_gain():
    assert detectable_gains(np.full(20, np.nan), 5, 0.0, [1]) == []


@pytest.mark.parametrize("min_gain", [0.0, 0.3])
def test_the_detectable_gain_is_promoted_with_the_stated_power(min_gain):
    worlds = range(400)
    gains = [detectable_gains(drawn(0.0, seed), BLOCKS, min_gain, [1])[0].gain for seed in worlds]
    gain = float(np.mean(gains))
    promoted = [interval(drawn(gain, 1000 + seed), BLOCKS)[0] > min_gain for seed in worlds]
    assert np.mean(promoted) == pytest.approx(POWER, abs=0.06)


def test_four_times_the_blocks_halve_the_detectable_gain():
    one, two, four = detectable_gains(drawn(0.0, 1), 12, 0.0, [1, 2, 4])
    assert one.gain > two.gain > four.gain
    assert one.gain * 0.4 < four.gain < one.gain / 2


def test_min_gain_is_added():
    bare, raised = (
        detectable_gains(drawn(0.0, 1), BLOCKS, bound, [1])[0].gain for bound in (0.0, 0.1)
    )
    assert raised == pytest.approx(bare + 0.1)
