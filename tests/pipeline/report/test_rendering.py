import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cll.pipeline.report import rendering


@given(st.text())
def test_a_name_in_markdown_holds_no_pipe_break_or_tag(name):
    said = rendering.code(name)
    assert not re.search(r"[|\n\r]|<(?!/?code>)", said)


@given(st.text())
def test_a_sentence_in_markdown_holds_no_sign_that_starts_markup(text):
    said = re.sub(r"&#\d+;", "", rendering.prose(text))
    assert not re.search(r"[`*\[\]<>&|~#@$\\\n\r]", said)


@given(st.text())
def test_cleaned_text_can_be_written_and_reorders_nothing(text):
    said = rendering.clean(text)
    assert said.encode().decode() == said
    assert not set(said) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\0\n\r")


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers())
def test_every_number_can_be_written(number):
    said = rendering.figure(number)
    finite = isinstance(number, int) or math.isfinite(number)
    assert (said != rendering.NOTHING) is finite


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"), (0.0, "0.000"), (-0.0312, "-0.031"), (0.99951, "1.000"), (21.5, "21.5"), (5.0, "5.000"),
        (38.0, "38"), (1234567, "1,234,567"), (99999.9, "100,000"), (0.00042, "0.000420"),
        (None, "\u2013"), (True, "True"), ("one_column", "one_column"),
    ],
)  # fmt: skip
def test_a_number_is_written_as_tables_do(number, said):
    assert rendering.figure(number) == said


def test_text_that_is_too_long_is_cut_with_a_mark():
    assert rendering.clean("x" * 300) == "x" * rendering.CELL_WIDTH + "…"


def test_an_interval_without_both_ends_is_not_shown():
    assert rendering.interval({"value": 0.5, "low": 0.4}) == ""
    assert rendering.interval(0.5) == ""
