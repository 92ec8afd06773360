from cll.components.update.keep import Keep
from tests.components.update.test_full import START, TIMES


def test_without_a_champion_there_is_nothing_to_keep():
    plan = Keep()(TIMES, None)
    assert plan.rows.all()
    assert not plan.continues_champion


def test_no_row_teaches_the_champion():
    plan = Keep()(TIMES, START)
    assert plan.continues_champion
    assert not plan.rows.any()
