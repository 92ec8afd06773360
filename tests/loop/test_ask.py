from cll.components.trigger.data import Data
from cll.components.trigger.never import Never
from cll.components.trigger.schedule import Schedule
from cll.loop.ask import ask
from tests.build.situations import at, rows

FRAME = rows(days=30)


def test_where_nothing_was_trained_yet_it_fires_whatever_the_triggers_say():
    answer = ask({"never": Never()}, at(FRAME, 30, trained=None))
    assert answer.fires
    assert [reason.says for reason in answer.reasons] == ["Nothing was trained yet."]


def test_a_training_later_than_as_of_is_as_if_it_had_not_been():
    answer = ask({"weekly": Schedule("0 3 * * MON")}, at(FRAME, 20, trained=20.5))
    assert answer.fires
    assert [reason.name for reason in answer.reasons] == ["first"]


def test_one_rule_that_fires_is_enough_and_the_others_are_told_too():
    triggers = {
        "never": Never(),
        "data": Data(rows=10**9, positives=1),
        "monday": Schedule("0 3 * * MON"),
    }
    answer = ask(triggers, at(FRAME, 26, trained=25.5))
    assert answer.fires
    assert {one.name: one.fires for one in answer.reasons} == {
        "never": False,
        "data.rows": False,
        "data.positives": True,
        "monday.schedule": False,
    }


def test_nothing_fires_where_no_rule_does():
    assert not ask({"never": Never()}, at(FRAME, 30)).fires
