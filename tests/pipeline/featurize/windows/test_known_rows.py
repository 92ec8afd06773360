from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cll.pipeline.featurize.windows import known_rows, rolling
from cll.pipeline.featurize.windows.known_rows import RangeMaximum, Visibility, VisibleColumns

MINUTE = 60_000_000
NEVER = timedelta(days=999)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def build_visibility(records: list[tuple[int, int, int]], wait: int = 0) -> Visibility:
    """Records of entity, time and lateness, in minutes."""
    entity, time, late = np.array(records, np.int64).reshape(-1, 3).T
    rows = rolling.Rows(entity, time * MINUTE)
    known = (time + late) * MINUTE
    scored = np.maximum((time + wait) * MINUTE, known)
    return Visibility(rows, known, scored, np.flatnonzero(late > wait))


def visible_rows(
    visibility: Visibility, row: list[int], reach: timedelta = NEVER
) -> list[list[int]]:
    """The rows that each of `row` sees, when it is scored."""
    query = np.array(row, np.int64)
    lists: dict[int, list[int]] = {}
    for view in visibility.views(query, visibility.scored[query], reach):
        for which, place in zip(view.query.tolist(), view.place.tolist(), strict=True):
            own = view.rows.entity == view.rows.entity[place]
            copies = view.copied[own & (view.rows.time <= view.rows.time[place])].tolist()
            low = visibility.rows.time[row[which]] - rolling.microseconds(reach)
            lists[which] = [copy for copy in copies if visibility.rows.time[copy] >= low]
            assert view.copied[place] == row[which]
    return [lists[which] for which in range(len(row))]


def test_nothing_is_hidden_where_all_came_on_time():
    visibility = build_visibility([(0, 0, 1), (0, 5, 2), (1, 3, 0)], wait=2)
    assert not len(visibility.late)
    assert not visibility.hides(np.arange(3), visibility.scored, NEVER).any()


def test_a_late_record_is_hidden_until_it_is_known_and_from_its_own_entity_only():
    visibility = build_visibility([(0, 0, 7), (0, 5, 0), (0, 8, 0), (1, 5, 0)])
    assert visibility.hides(np.arange(4), visibility.scored, NEVER).tolist() == [
        False,
        True,
        False,
        False,
    ]
    assert visible_rows(visibility, [0, 1, 2, 3]) == [[0], [1], [0, 1, 2], [3]]


def test_a_record_before_the_reach_hides_nothing_and_one_at_its_edge_does():
    visibility = build_visibility([(0, 0, 99), (0, 5, 0)])
    assert visibility.hides(np.array([1]), visibility.scored[1:], minutes(5)).tolist() == [True]
    assert visibility.hides(np.array([1]), visibility.scored[1:], minutes(4)).tolist() == [False]


def test_a_row_that_is_late_itself_sees_the_others_that_were_known_by_then():
    visibility = build_visibility([(0, 0, 9), (0, 1, 20), (0, 5, 9), (0, 5, 0)])
    assert visible_rows(visibility, [2, 3]) == [[0, 2, 3], [3]]


def test_a_row_can_be_asked_for_at_several_instants():
    visibility = build_visibility([(0, 0, 9), (0, 5, 0)])
    at = np.array([5, 30]) * MINUTE
    views = list(visibility.views(np.array([1, 1]), at, NEVER))
    assert [(view.query.tolist(), view.place.tolist()) for view in views] == [([0, 1], [0, 2])]
    assert views[0].copied.tolist() == [1, 0, 1]


def test_rows_that_see_the_same_share_their_copies():
    visibility = build_visibility([(0, 0, 900), *((0, t, 0) for t in range(1, 50))])
    (view,) = visibility.views(np.arange(1, 50), visibility.scored[1:], minutes(60))
    assert view.copied.tolist() == list(range(1, 50))


def test_copies_are_worked_in_parts_of_whole_stretches(monkeypatch):
    monkeypatch.setattr(known_rows, "_PART", 2)
    visibility = build_visibility([(e, t, 90 * (t == 0)) for e in range(4) for t in range(3)])
    row = np.flatnonzero(visibility.hides(np.arange(12), visibility.scored, NEVER))
    views = list(visibility.views(row, visibility.scored[row], NEVER))
    assert [len(view.copied) for view in views] == [2, 2, 2, 2]


def test_nobody_asking_is_shown_nothing():
    visibility, nobody = build_visibility([(0, 0, 9), (0, 5, 0)]), np.zeros(0, np.int64)
    assert list(visibility.views(nobody, nobody, NEVER)) == []
    assert VisibleColumns(visibility, NEVER, lambda _: []).columns(nobody, nobody) == []


def test_what_is_told_of_a_time_differs_only_where_something_of_it_is_hidden():
    visibility = build_visibility([(0, 0, 9), (0, 5, 0), (1, 6, 4)])
    since, until, at = (np.array(x) * MINUTE for x in ([0, 0, 1, 1], [5, 9, 9, 9], [5, 9, 9, 10]))
    assert visibility.visible_sets(since, until, at).tolist() == [0, 1, 1, -1]


RECORD = st.tuples(st.integers(0, 2), st.integers(0, 20), st.sampled_from([0, 0, 1, 3, 9, 50]))


@pytest.mark.parametrize("reach", [0, 3, 50])
@settings(max_examples=40, deadline=None)
@given(st.lists(RECORD, min_size=1, max_size=30), st.integers(0, 2))
def test_what_is_seen_is_what_was_known_by_the_instant_of_scoring(reach, records, wait):
    records = sorted(records, key=lambda record: record[:2])
    visibility = build_visibility(records, wait)
    expected, hides = [], []
    for (entity, time, _), at in zip(records, visibility.scored.tolist(), strict=True):
        near = [
            row
            for row, other in enumerate(records)
            if other[0] == entity and time - reach <= other[1] <= time
        ]
        expected.append([row for row in near if visibility.known_at[row] <= at])
        hides.append(len(near) > len(expected[-1]))
    rows = np.arange(len(records))
    assert visibility.hides(rows, visibility.scored, minutes(reach)).tolist() == hides
    assert visible_rows(visibility, rows.tolist(), minutes(reach)) == expected


@settings(deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=20), st.data())
def test_a_peak_is_the_highest_of_any_stretch(values, data):
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    (visibility,) = RangeMaximum.build(np.array(values)).within(np.array([start]), np.array([stop]))
    assert visibility == max(values[start:stop], default=-known_rows.ALWAYS)
