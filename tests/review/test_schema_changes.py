import copy
from pathlib import Path

import pytest
import yaml

from cll.review import schema_changes

SCHEMA = yaml.safe_load((Path(__file__).parents[2] / "registry" / "schema.yaml").read_text())


@pytest.fixture
def after():
    return copy.deepcopy(SCHEMA)


def said(after):
    return list(schema_changes.words(SCHEMA, after))


def test_the_same_schema_says_nothing(after):
    assert said(after) == []


def test_a_source_that_is_new_or_gone_is_a_line(after):
    after["files"] = after.pop("synthetic")
    assert said(after) == [
        "files: new, learnt from 30 days, 2026-01-01 to 2026-01-30",
        "synthetic: gone",
    ]


def test_columns_and_groups_come_and_go_by_name(after):
    section = after["synthetic"]
    section["columns"]["queue"] = section["columns"].pop("cpu_usage")
    section["groups"]["web"] = [7, 9]
    del section["groups"]["data"]
    assert said(after) == [
        "synthetic: column cpu_usage is gone",
        "synthetic: column queue is new",
        "synthetic: group data is gone",
        "synthetic: web: entities 7 -> 7 to 9",
    ]


def test_what_a_column_looks_like_is_told_in_words(after):
    column = after["synthetic"]["columns"]["cpu_usage"]
    column |= {"unit": "percent", "median": [30.0, 50.0], "nulls": 0.5}
    assert said(after) == [
        "synthetic: cpu_usage: unit none -> percent",
        "synthetic: cpu_usage: most missing of a day 0.0 -> 0.5",
        "synthetic: cpu_usage: median of a day 36.09 to 38.98 -> 30.0 to 50.0",
    ]


def test_days_and_rates_are_told(after):
    section = after["synthetic"]
    section |= {"days": 31, "until": "2026-01-31", "incidents": None}
    section["outcome"]["rate"]["rate"] = 0.1
    lines = said(after)
    assert lines[0] == (
        "synthetic: learnt from 30 days, 2026-01-01 to 2026-01-30 -> "
        "31 days, 2026-01-01 to 2026-01-31"
    )
    assert "synthetic: outcome: the usual rate 0.048602 -> 0.1" in lines
    assert "synthetic: incidents: the usual rate 1.325 -> none" in lines
