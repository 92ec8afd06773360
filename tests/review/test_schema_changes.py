import copy
from pathlib import Path

import pytest
import yaml

from cll.review import schema_changes

SCHEMA = yaml.safe_load((Path(__file__).parents[2] / "registry" / "schema.yaml").read_text())


@pytest.fixture
def after():
    return copy.deepcopy(SCHEMA)


def changes(after):
    return list(schema_changes.describe(SCHEMA, after))


def test_an_equal_schema_has_no_changes(after):
    assert changes(after) == []


def test_a_source_that_is_new_or_removed_is_one_line(after):
    after["files"] = after.pop("synthetic")
    assert changes(after) == [
        "files: new, inferred from 30 days, 2026-01-01 to 2026-01-30",
        "synthetic: removed",
    ]


def test_columns_and_groups_come_and_go_by_name(after):
    section = after["synthetic"]
    section["columns"]["queue"] = section["columns"].pop("cpu_usage")
    section["groups"]["web"] = [7, 9]
    del section["groups"]["data"]
    assert changes(after) == [
        "synthetic: column cpu_usage is removed",
        "synthetic: column queue is new",
        "synthetic: group data is removed",
        "synthetic: web: entities 7 -> 7 to 9",
    ]


def test_changed_facts_of_a_column_are_described(after):
    column = after["synthetic"]["columns"]["cpu_usage"]
    column |= {"unit": "percent", "median": [30.0, 50.0], "nulls": 0.5}
    assert changes(after) == [
        "synthetic: cpu_usage: unit none -> percent",
        "synthetic: cpu_usage: highest daily share of missing values 0.0 -> 0.5",
        "synthetic: cpu_usage: median of a day 36.09 to 38.98 -> 30.0 to 50.0",
    ]


def test_changed_days_and_rates_are_described(after):
    section = after["synthetic"]
    section |= {"days": 31, "until": "2026-01-31", "incidents": None}
    section["outcome"]["rate"]["rate"] = 0.1
    lines = changes(after)
    assert lines[0] == (
        "synthetic: inferred from 30 days, 2026-01-01 to 2026-01-30 -> "
        "31 days, 2026-01-01 to 2026-01-31"
    )
    assert "synthetic: outcome: usual rate 0.048602 -> 0.1" in lines
    assert "synthetic: incidents: usual rate 1.325 -> none" in lines
