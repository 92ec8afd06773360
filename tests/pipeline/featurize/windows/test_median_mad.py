import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.pipeline.featurize.windows import median_mad

VALUES = st.lists(
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-3, 3)), min_size=1, max_size=40
)


def windows(values: list, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `width` rows before each row."""
    stop = np.arange(len(values))
    return np.array(values, float), np.maximum(stop - width, 0), stop


@settings(deadline=None)  # the first call loads what is compiled
@given(VALUES, st.integers(1, 12))
def test_median_and_deviation_equal_their_definition(values, width):
    x, low, stop = windows(values, width)
    result = median_mad.compute(x, low, stop)
    for i in range(len(x)):
        past = x[low[i] : stop[i]]
        past = past[~np.isnan(past)]
        assert result.count[i] == len(past)
        if not len(past):
            assert np.isnan([result.median[i], result.deviation[i]]).all()
            continue
        last_bits = 1e-15 * np.abs(past).max() + 1e-300  # of a sum of two that nearly cancel
        np.testing.assert_allclose(result.median[i], np.median(past), atol=last_bits)
        away = np.abs(past - result.median[i])
        np.testing.assert_allclose(result.deviation[i], np.median(away), atol=last_bits)


def test_a_burst_shorter_than_half_the_window_moves_the_median_no_further_than_its_rest():
    x, low, stop = windows([1, 2, 3, 2, 1, 1e9, 1e9, 0], 7)
    result = median_mad.compute(x, low, stop)
    assert (result.median[-1], result.deviation[-1]) == (2, 1)


def test_a_window_worked_alone_is_the_same_to_the_bit_as_after_others():
    x, low, stop = windows(np.random.default_rng(0).normal(size=100).tolist(), 30)
    whole = median_mad.compute(x, low, stop)
    for i in range(100):
        alone = median_mad.compute(x, low[[i]], stop[[i]])
        np.testing.assert_array_equal(whole.median[i], alone.median[0])
        np.testing.assert_array_equal(whole.deviation[i], alone.deviation[0])


def test_no_rows_give_no_figures():
    assert not len(median_mad.compute(*windows([], 3)).median)
