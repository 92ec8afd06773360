from cll.pipeline.ingest.schema.breach import Breach, merge_days

ONE = Breach("unit", "cpu", "2026-01-12", "median 45", "0.4 until then", "percent?", "Mend it")


def test_a_line_has_the_value_the_day_and_the_way_out():
    assert ONE.line == "cpu: median 45 on 2026-01-12, 0.4 until then: percent? Mend it."


def test_a_breach_of_no_particular_day_names_no_day():
    line = Breach("missing", "missing cpu", "", "no such column", "", "dropped?", "Map it").line

    assert line == "missing cpu: no such column: dropped? Map it."


def test_a_second_day_is_counted_and_another_kind_is_not():
    other = Breach("silent", "cpu", "2026-01-13", "no value", "", "gone?", "Mend it")
    first, second = merge_days([ONE, other, ONE])

    assert "on 2026-01-12 and on 1 later day, 0.4" in first.line
    assert second == other
