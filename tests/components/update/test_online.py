from cll.components.update.online import Online
from tests.components.update.test_full import START, TIMES, timedelta


def test_without_a_champion_it_is_one_training_on_all():
    plan = Online()(TIMES, None)
    assert plan.rows.all()
    assert not plan.daily


def test_the_newer_rows_teach_day_by_day():
    plan = Online()(TIMES, START + timedelta(days=7))
    assert plan.rows.tolist() == [False] * 8 + [True] * 2
    assert plan.continues_champion
    assert plan.daily


def test_where_nothing_is_newer_the_champion_stays():
    assert not Online()(TIMES, START + timedelta(days=9)).rows.any()
