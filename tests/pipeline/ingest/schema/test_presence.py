from cll.pipeline.ingest.schema import rules
from cll.types.tables import Columns
from tests.build.profiles import COLUMNS, column, day, days, found, incidents, with_column


def lines(profile=None, **settings):
    return [one.line for one in found(profile, **settings)]


def kinds(profile=None, **settings):
    return [one.kind for one in found(profile, **settings)]


def test_a_renamed_column_is_missing_and_its_like_is_named():
    renamed = Columns(numeric=("cpu", "response_time"), outcome=True, group=True)
    profile = day()
    profile["columns"]["cpu"] = profile["columns"].pop("cpu_usage")
    missing, new = lines(profile, columns=renamed)

    assert missing.startswith("missing cpu_usage; similar: cpu: no such column: renamed?")
    assert new.startswith("cpu: a new column: not in the schema. Accept it by `cll schema accept`")


def test_an_outcome_that_is_no_longer_mapped_is_missing():
    mapped = Columns(numeric=COLUMNS.numeric, group=True)
    profile = day()
    del profile["outcome"]

    assert lines(profile, columns=mapped)[0].startswith("missing outcome: no such column: dropped?")


def test_a_column_that_went_silent_is_refused():
    (line,) = lines(with_column("cpu_usage", {"nulls": 5760}))

    assert line.startswith(
        "cpu_usage: 100.0% of the values missing on 2026-01-15, 0.0% at most until then: "
        "gone silent, or published under another name?"
    )


def test_some_more_missing_values_are_no_silence():
    assert kinds(with_column("cpu_usage", column(0.46, nulls=1500))) == []
    assert kinds(with_column("cpu_usage", column(0.46, nulls=2000))) == ["silent"]


def test_the_missing_values_of_a_few_rows_are_not_judged():
    few = {"rows": 12, "outcome": {"told": 12, "positive": 0}}

    assert kinds(with_column("cpu_usage", {"nulls": 12}, **few)) == []


def test_labels_that_no_longer_come_are_refused_once_the_day_is_over():
    untold = {"outcome": {"told": 0, "positive": 0}}

    assert kinds(day(**untold)) == ["silent"]
    assert kinds(day(**untold, until=6.0), count=5) == []


def test_a_vanished_group_is_named_with_its_possible_new_name():
    (line,) = lines(day(groups={"web-2": 12, "batch": 8}))

    assert line == (
        "group web: no entity on 2026-01-15, 12 until then: gone, or named otherwise (web-2)? "
        "Wait for its data, mend their origin, or accept it by `cll schema accept`."
    )


def test_a_day_that_is_not_over_has_lost_no_group_and_no_entity():
    assert kinds(day(groups={"batch": 3}, entities=3, until=11.92), count=5) == []


def test_a_group_that_was_not_there_on_each_day_may_be_gone():
    history = days()
    history["2026-01-05"]["groups"] = {"web": 12}
    known = rules.infer(history, COLUMNS, {}, incidents())

    assert kinds(day(groups={"web": 12}), known=known) == []


def test_a_day_with_too_many_groups_to_tell_has_lost_none():
    assert kinds(day(groups={})) == []


def test_a_new_group_is_no_breach():
    assert kinds(day(groups={"web": 12, "batch": 8, "data": 4})) == []


def test_less_than_half_of_the_fleet_is_refused():
    (line,) = lines(day(entities=9))

    assert line.startswith("entities: only 9 reported on 2026-01-15, 20 at least until then")
    assert kinds(day(entities=10)) == []


def test_names_alike_are_groups_only_where_several_entities_make_one_up():
    named = Columns(numeric=COLUMNS.numeric, outcome=True)
    history = {date: {**one, "groups": {"agent": 3, "cart": 1}} for date, one in days().items()}
    known = rules.infer(history, named, {}, incidents())

    assert known.groups == {"agent": (3, 3)}
    assert kinds(day(groups={"agent": 3}), known=known, columns=named) == []


def test_one_name_for_all_is_no_group():
    named = Columns(numeric=COLUMNS.numeric, outcome=True)
    history = {date: {**one, "groups": {"agent": 20}} for date, one in days().items()}

    assert rules.infer(history, named, {}, incidents()).groups == {}
