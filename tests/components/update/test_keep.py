from cll.components.update.keep import Keep
from tests.components.update.test_full import START, TIMES


def test_without_a_champion_there_is_nothing_to_keep():
    lesson = Keep()(TIMES, None)
    assert lesson.rows.all()
    assert not lesson.goes_on


def test_no_row_teaches_the_champion():
    lesson = Keep()(TIMES, START)
    assert lesson.goes_on
    assert not lesson.rows.any()
