import json
from datetime import UTC, datetime

import pytest

from cll.model import ledger_entries
from cll.release import versions
from cll.types.errors import ConfigError
from tests.build import small
from tests.model.test_ledger_entries import back_to, entry, ledger, text


@pytest.fixture
def root(tmp_path):
    """A folder with a ledger, and no git: two releases, and a return to the first."""
    entries = ledger(1)
    entries.append(entry(entries, as_of="2026-01-12T00:00:00Z"))
    entries.append(back_to(entries, 0, as_of="2026-01-19T00:00:00Z", why="too [b]slow"))
    (tmp_path / "registry").mkdir()
    (tmp_path / ledger_entries.PATH).write_text(text(entries))
    return tmp_path


@pytest.mark.parametrize(
    ("date", "version"),
    [
        ("2026-01-04", "none"),
        ("2026-01-05T00:00:00Z", "none"),  # it counts from the next tick on
        ("2026-01-05T00:00:01Z", "v1.0.0"),
        ("2026-01-12", "v1.0.0"),
        ("2026-01-13", "v1.1.0"),
        ("2027-01-01", "v1.0.0"),
    ],
)
def test_what_was_in_force_at_an_instant_follows_the_world_and_not_the_clock(root, date, version):
    said = small.cll(root, "registry", "at", date)
    assert said.code == 0
    assert said.out.split()[0] == version


def test_an_instant_that_is_none_is_told(root):
    with pytest.raises(ConfigError, match=r"^yesterday: 'yesterday' is not an instant; write"):
        versions.at(root, "yesterday")
    assert versions.instant("2026-01-04") == datetime(2026, 1, 4, tzinfo=UTC)


def test_the_list_marks_what_is_in_force(root):
    lines = small.cll(root, "registry", "list").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["v1.0.0", "v1.1.0", "*"]
    assert "too [b]slow" in lines[3]


def test_programs_get_the_ledger_as_json(root):
    told = json.loads(small.cll(root, "registry", "list", "--json").out)
    assert [one["kind"] for one in told] == ["release", "release", "rollback"]
    assert told[0]["verdict"]["answer"] == "promote"


def test_one_version_is_shown_with_its_returns(root):
    assert small.cll(root, "registry", "show", "v1.0.0").out.count('"version": "v1.0.0"') == 2
    assert small.cll(root, "registry", "show", "v1.1.0").out.count('"kind"') == 1


def test_a_version_that_was_never_released_can_not_be_shown(root):
    said = small.cll(root, "registry", "show", "v9.9.9")
    assert (said.code, said.err.count("\n")) == (2, 1)


def test_nothing_released_is_no_error(tmp_path):
    assert small.cll(tmp_path, "registry", "list").out == "Nothing was released yet.\n"
    assert small.cll(tmp_path, "registry", "at", "2026-01-01").out == "none\n"
