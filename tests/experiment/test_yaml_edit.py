from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cll.config import yaml_loader
from cll.experiment import yaml_edit

WHERE = Path("params.yaml")


def amended(text, wanted):
    after = yaml_edit.amended(text, yaml_loader.parse(WHERE, text), wanted)
    assert yaml_loader.parse(WHERE, after) == wanted
    return after


COMMENTED = """\
# first
a: null     # of a

b:
  # above c
  c: 1   # of c
  # above d
  d: |
    one
    two

  # above e
  e:
    - x
    - y   # of y
  # below
# last
"""


@pytest.mark.parametrize(
    ("change", "gone", "new"),
    [
        ({"a": "word"}, ["a: null     # of a"], ["a: word     # of a"]),
        ({"a": "longer-word"}, ["a: null     # of a"], ["a: longer-word # of a"]),
        ({"a": {"x": 1}}, ["a: null     # of a"], ["a:     # of a", "  x: 1"]),
        ({"b": {"c": 1, "d": "one\ntwo\n"}}, ["  e:", "    - x", "    - y   # of y"], []),
        ({"b": {"c": 1, "e": ["x", "y"]}}, ["  d: |", "    one", "    two"], []),
        ({"b": {"d": "one\ntwo\n", "e": ["x", "y"]}}, ["  c: 1   # of c"], []),
        (
            {"b": {"c": 1, "d": 2.0, "e": ["x"]}},
            ["  d: |", "    one", "    two", "  e:", "    - x", "    - y   # of y"],
            ["  d: 2.0", "  e: [x] # of y"],
        ),
        ({"f": 2}, [], ["f: 2"]),
    ],
)
def test_lines_that_do_not_change_stay_as_they_are(change, gone, new):
    after = amended(COMMENTED, {**yaml_loader.parse(WHERE, COMMENTED), **change})
    lines, left = COMMENTED.splitlines(), after.splitlines()
    assert [line for line in lines if line not in left] == gone
    assert [line for line in left if line not in lines] == new


@pytest.mark.parametrize("text", ["", "# only this", "{}\n", "# this\n{}"])
def test_an_empty_file_is_written_below_its_comments(text):
    after = amended(text, {"a": {"b": 1}})
    assert after.endswith("a:\n  b: 1\n")
    assert after.startswith("#") == text.startswith("#")


def test_a_last_line_without_its_end_is_ended():
    assert amended("a: 1", {"a": 1, "b": 2}) == "a: 1\nb: 2\n"


def test_a_new_key_comes_after_the_one_before_it():
    text = "a: 1\n# of set\nset: {}\n"
    assert amended(text, {"a": 1, "b": 2, "set": {}}) == "a: 1\nb: 2\n# of set\nset: {}\n"


def test_braces_with_comments_in_them_stay_braces():
    text = "set: {a: {b: 1, # of b\n  c: 2}}\n"
    long = "x" * yaml_edit.WIDTH
    assert amended(text, {"set": {"a": {"b": 1, "c": 2, "d": long}}}) == (
        f"set: {{a: {{b: 1, # of b\n  c: 2, d: {long}}}}}\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("1e-05", "1e5", "1.0", "-1", "0o17", "0x1f", "1_000", "12:30:00", "1:30", ".inf", ".5"),
        *(
            "true",
            "No",
            "ON",
            "y",
            "null",
            "~",
            "",
            " x",
            "x ",
            "2026-01-31",
            "2026-01-31T00:00:00Z",
        ),
        *(
            "<<",
            "=",
            "a: b",
            "a #b",
            "- a",
            "!x",
            "&x",
            "*x",
            "%x",
            "@x",
            "`x",
            "'",
            '"',
            "\\",
            "{}",
        ),
        *("a\nb", "a\tb", "\u2028", "\x85", "é", "😀", "${a}", "a" * 200 + " " + "b" * 200, "30m"),
    ],
)
def test_text_reads_back_as_text_with_every_reader(text):
    for where in ({"k": text}, {"k": [text]}, {text: 1}):
        written = amended("x: 1\n", {"x": 1, "s": where})
        assert yaml.safe_load(written)["s"] == where
        assert YAML(typ="safe").load(written)["s"] == where


@pytest.mark.parametrize("number", [1e-05, 1e16, 1e300, 0.1, -0.0, 1.0, 1, -3, 2**70, True, None])
def test_a_number_reads_back_as_itself_with_every_reader(number):
    written = amended("x: 1\n", {"x": 1, "k": number})
    for found in (
        yaml_loader.parse(WHERE, written),
        yaml.safe_load(written),
        YAML(typ="safe").load(written),
    ):
        assert repr(found["k"]) == repr(number)


names = st.sampled_from(["a", "b", "c", "on", "x_y"])
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.sampled_from(["word", "7", "two words", "a: b", "it's # this"]),
    st.lists(st.sampled_from([1, "x", 0.5]), max_size=3),
)
trees = st.dictionaries(
    names,
    st.recursive(values, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8),
    max_size=4,
)


@given(
    have=trees, wanted=trees, style=st.sampled_from([True, False, None]), width=st.integers(20, 99)
)
def test_any_tree_becomes_any_other_in_any_layout(have, wanted, style, width):
    text = (
        yaml.safe_dump(have, default_flow_style=style, width=width, sort_keys=False) if have else ""
    )
    lines = [
        f"{line}  # {n}" if style is False and line.endswith(":") else line
        for n, line in enumerate(text.splitlines())
    ]
    text = "# head\n" + "\n".join([*lines, "# foot"]) + "\n"
    if have and not wanted:
        return  # a file that says nothing is not what it is for
    assert amended(text, wanted).startswith("# head\n")
    assert "# foot\n" in amended(text, wanted)
    assert amended(text, have) == text
