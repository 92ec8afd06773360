import polars as pl

from cll.pipeline.evaluate.statistics.slices import parts


def rows(entity, label, kind=None, **more):
    kind = kind or [None] * len(label)
    frame = {"entity": entity, "label": label, "kind": kind, **more}
    return pl.DataFrame(frame, schema_overrides={"kind": pl.String})


def names(frame, most=20, positives=1):
    return [name for name, _ in parts(frame, most, positives)]


def test_a_slice_with_one_class_or_too_few_positive_rows_is_left_out():
    frame = rows(["a", "a", "b", "b", "c", "c"], [1, 0, 1, 1, 0, 0])
    assert names(frame) == ["entity=a"]
    assert names(frame, positives=2) == []


def test_the_slices_with_the_most_positives_are_kept_in_order():
    frame = rows(["b", "b", "b", "a", "a", "c", "c"], [1, 1, 0, 1, 0, 1, 0])
    assert names(frame, most=2) == ["entity=a", "entity=b"]
    assert names(frame, most=0) == []


def test_groups_are_preferred_to_entities():
    assert names(rows(["a", "b"], [1, 0], group=["web", "web"])) == ["group=web"]


def test_a_kind_is_its_positive_rows_against_all_negative_ones():
    frame = rows(["a"] * 4, [1, 1, 0, 0], ["leak", "spike", None, None])
    masks = {name: mask.tolist() for name, mask in parts(frame, 20, 1)}
    assert masks == {
        "entity=a": [True] * 4,
        "kind=leak": [True, False, True, True],
        "kind=spike": [False, True, True, True],
    }


def test_positive_rows_of_no_known_kind_make_no_slice_of_kinds():
    assert names(rows(["a", "a"], [1, 0])) == ["entity=a"]


def test_without_negative_rows_there_is_no_slice():
    assert names(rows(["a", "a"], [1, 1], ["leak", "leak"])) == []


def test_names_hold_no_dot_and_stay_different():
    frame = rows(["a.b", "a.b", "a_b", "a_b", "a/b", "a/b"], [1, 0] * 3)
    assert names(frame) == ["entity=a_b", "entity=a_b_2", "entity=a_b_3"]
