import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.components.metric.standard import average_precision, log_loss, recall
from cll.pipeline.evaluate.statistics.bootstrap import TAIL, interval
from cll.pipeline.evaluate.statistics.scored_holdout import Holdout
from cll.verify import permutation
from cll.verify.permutation import Swaps, lower_bound

METRICS = {"average_precision": average_precision, "log_loss": log_loss, "recall": recall}


def court(blocks=36, rows=5, replicates=120, seed=3):
    """Blocks of rows, of which each third has positive ones, and two models' answers."""
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(blocks), rows)
    y = ((block % 3 == 0) & (rng.random(len(block)) < 0.6)).astype(float)
    nothing = np.full(len(y), np.nan)
    answers = []
    for sharpness in (1.5, 1.0):
        mood = np.repeat(rng.normal(size=blocks), rows)
        p = 1 / (1 + np.exp(1 - sharpness * y - 0.5 * mood - rng.normal(size=len(y))))
        answers.append((p, p >= 0.5))
    held = pl.DataFrame({"y": y})
    return Holdout(held, y, nothing, block, METRICS, replicates, 0), *answers


def above(percent):
    """Make a rule that promotes where a percentile interval of so much lies above 0."""

    def promotes(difference):
        drawn = difference.replicates["average_precision"]
        return np.percentile(drawn, (100 - percent) / 2) > 0

    return promotes


def tried(promotes, rounds=120):
    found = permutation.differences(*court(), "average_precision", rounds, seed=0)
    return permutation.count(found, promotes, TAIL)


def test_a_rule_that_uses_half_of_the_interval_fails():
    found = tried(above(50))
    assert not found.holds
    assert found.lower > TAIL
    assert found.rate >= found.fails_from


def test_a_rule_that_uses_the_whole_interval_passes():
    def promotes(difference):
        return interval(difference.replicates["average_precision"], difference.evidence)[0] > 0

    found = tried(promotes)
    assert found.holds
    assert found.rate < found.fails_from


def test_a_rule_without_an_interval_promotes_one_model_in_each_round():
    found = tried(lambda difference: difference.values["average_precision"] > 0, rounds=100)
    assert (found.promoted, found.rate) == (100, 0.5)


@given(st.integers(0, 2**32), st.sampled_from(sorted(METRICS)))
@settings(max_examples=25, deadline=None)
def test_swapping_the_other_blocks_turns_the_difference_round_exactly(seed, metric):
    held, own, other = court(replicates=20)
    where = np.random.default_rng(seed).random(36)[held.block] < 0.5

    def apart(swapped):
        mine, theirs = permutation.swapped(own, other, swapped)
        return held.figures(*mine, [metric]) - held.figures(*theirs, [metric])

    one, turned = apart(where), -apart(~where)
    assert one.values == turned.values
    assert np.array_equal(one.replicates[metric], turned.replicates[metric], equal_nan=True)


def test_whole_blocks_are_swapped_and_alerts_with_their_scores():
    held, own, other = court()
    where = (held.block % 2).astype(bool)
    mine, theirs = permutation.swapped(own, other, where)
    for index in (0, 1):
        assert (mine[index] == np.where(where, other[index], own[index])).all()
        assert (theirs[index] == np.where(where, own[index], other[index])).all()


def test_one_seed_tosses_the_same_coins_and_another_others():
    rounds = [
        [d.values["recall"] for d in permutation.differences(*court(), "recall", 5, seed)]
        for seed in (0, 0, 1)
    ]
    assert rounds[0] == rounds[1] != rounds[2]


@pytest.mark.parametrize(
    ("hits", "of", "bound"),
    [
        (0, 500, 0.0),
        (10, 10, 0.630957),
        (1, 100, 0.0001),
        (25, 500, 0.029984),
        (50, 500, 0.07108),
    ],
)  # 99 %, of the beta distribution
def test_the_lower_bound_is_clopper_s_and_pearson_s(hits, of, bound):
    assert lower_bound(hits, of) == pytest.approx(bound, abs=2e-6)


@pytest.mark.parametrize("rounds", [100, 500])
def test_the_rate_that_fails_is_the_lowest_that_does(rounds):
    too_many = round(Swaps(rounds, 0, TAIL).fails_from * 2 * rounds)
    assert not Swaps(rounds, too_many, TAIL).holds
    assert Swaps(rounds, too_many - 1, TAIL).holds


@pytest.mark.slow
def test_over_many_small_data_sets_the_interval_holds_where_a_plain_percentile_does_not():
    asked = {"plain": 0, "expanded": 0}
    rounds, sets = 150, 20
    for seed in range(sets):
        for found in permutation.differences(
            *court(replicates=300, seed=seed), "average_precision", rounds, seed
        ):
            drawn = found.replicates["average_precision"]
            plain = np.percentile(drawn, [2.5, 97.5])
            for name, (low, high) in (
                ("plain", plain),
                ("expanded", interval(drawn, found.evidence)),
            ):
                asked[name] += low > 0 or high < 0
    told = {name: Swaps(rounds * sets, int(count), TAIL) for name, count in asked.items()}
    assert told["expanded"].holds, told["expanded"].rate
    assert not told["plain"].holds, told["plain"].rate
