from cll.components.update.warm import Warm
from tests.components.update.test_full import START, TIMES, timedelta


def test_without_a_champion_all_has_to_be_learnt():
    plan = Warm(new_only=True)(TIMES, None)
    assert plan.rows.all()
    assert not plan.continues_champion


def test_all_rows_teach_on_top_of_the_champion_or_the_newer_ones_alone():
    since = START + timedelta(days=7)
    assert Warm()(TIMES, since).rows.all()
    assert Warm(new_only=True)(TIMES, since).rows.tolist() == [False] * 8 + [True] * 2
    assert Warm()(TIMES, since).continues_champion


def test_where_nothing_is_newer_the_champion_stays():
    for update in (Warm(), Warm(new_only=True)):
        plan = update(TIMES, START + timedelta(days=9))
        assert plan.continues_champion
        assert not plan.rows.any()
