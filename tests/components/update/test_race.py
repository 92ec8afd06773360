import numpy as np
import pytest

from cll.components.update.race import Race
from cll.types.errors import ConfigError
from cll.types.updates import Contender

ONE = {"full": {"_target_": "cll.components.update.full.Full"}}
RACE, CHEAP = (Race(ONE, ("full",), prefer=first) for first in ("best", "cheapest"))


def entry(name, value, visits, noise=0.01, seed=0):
    spread = np.random.default_rng(seed).normal(0, noise, 300)
    return Contender(name, value, value + spread, visits, evidence=1000)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ((), r"=\[\]: no update would run; name at least one\.$"),
        (("full", "windw"), r"=windw: no such update; there are: full, again\.$"),
        (("full", "again"), r"=again: a race can't be a contender; name another update\.$"),
    ],
)
def test_contenders_that_can_not_run_are_refused(names, says):
    again = {"_target_": "cll.components.update.race.Race", "settings": ONE}
    with pytest.raises(ConfigError, match=rf"^update\.contenders{says}"):
        Race(ONE | {"again": again}, names)


def test_the_best_wins_where_the_cheaper_surely_lose():
    entries = [entry("dear", 0.5, 900), entry("cheap", 0.4, 10)]
    assert CHEAP(entries) == RACE(entries) == "dear"


def test_the_cheapest_wins_where_it_may_be_as_good_and_that_was_asked_for():
    entries = [entry("dear", 0.5, 900), entry("middle", 0.5, 90), entry("cheap", 0.499, 10, seed=1)]
    assert CHEAP(entries) == "cheap"
    assert RACE(entries) == "middle"


def test_the_better_wins_at_the_same_cost():
    entries = [entry("one", 0.4, 5), entry("other", 0.5, 5)]
    assert CHEAP(entries) == RACE(entries) == "other"


def test_without_an_interval_the_best_figure_wins():
    nothing = np.full(300, np.nan)
    entries = [Contender("dear", 0.5, nothing, 900, 20), Contender("cheap", 0.4, nothing, 10, 20)]
    assert CHEAP(entries) == "dear"
