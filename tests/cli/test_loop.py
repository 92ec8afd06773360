import json

import pytest

from tests.build import small


def test_the_status_as_json_has_a_part_for_each_line(folder):
    state = json.loads(small.cll(folder, "status", "--json").out)
    lines = small.cll(folder, "status").out.splitlines()
    assert len(lines) == len(state.keys() - {"form", "version"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tick", "--as-of", "soon"], "cll: --as-of: 'soon' is not an instant; "),
        (["loop", "--every", "often"], "cll: --every: 'often' is not a duration; "),
        (["loop", "--retry", "0"], "cll: --every, --retry: 0 is not an interval; "),
    ],
)
def test_a_time_that_does_not_parse_is_refused_by_its_option(folder, words, message):
    result = small.cll(folder, *words)
    assert result.code == 2
    assert result.err.startswith(message)
