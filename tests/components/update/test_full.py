from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.components.update.full import Full
from cll.types.errors import ConfigError

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = pl.Series([START + timedelta(days=day) for day in range(10)])


def test_a_window_that_holds_nothing_is_refused():
    with pytest.raises(
        ConfigError, match=r"^update\.span=0: no row would be trained on; write 14d, or null"
    ):
        Full(timedelta(0))


@pytest.mark.parametrize("since", [None, START + timedelta(days=5)])
def test_all_rows_teach_whatever_the_champion_knows(since):
    plan = Full()(TIMES, since)
    assert plan.rows.all()
    assert not plan.continues_champion


def test_a_window_keeps_the_newest_rows_alone():
    assert Full(timedelta(days=3))(TIMES, None).rows.tolist() == [False] * 7 + [True] * 3
