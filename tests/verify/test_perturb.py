from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from cll.pipeline.dataset import tables
from cll.types.tables import INCIDENTS
from cll.verify import perturb
from tests.build import small

AT = datetime(2026, 1, 3, 7, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    ws = small.project(tmp_path_factory.mktemp("corruption") / "project")
    small.reproduce(ws, ["source.entities=6", "source.late=0.1"], last="ingest")
    return ws


@pytest.fixture(scope="module")
def rows(fleet):
    return tables.read(fleet.signals)


@pytest.fixture(scope="module")
def wild(fleet, rows):
    return perturb.signals(rows, tables.columns(fleet), AT)


def known(rows):
    return rows.filter(pl.col("known_at") <= AT)


def test_rows_known_before_stay_except_outcomes_known_later(rows, wild):
    left, right = known(rows), known(wild)
    others = [name for name in rows.columns if name != "outcome"]
    assert left.select(others).equals(right.select(others))
    told = left["outcome_known_at"] <= AT
    assert left.filter(told)["outcome"].equals(right.filter(told)["outcome"])
    assert (left.filter(~told)["outcome"] + right.filter(~told)["outcome"]).unique().to_list() == [
        1
    ]


def test_rows_known_later_are_replaced(rows, wild):
    keys = ["entity", "time"]
    later = rows.filter(pl.col("known_at") > AT)
    both = later.join(wild, on=keys, suffix="_wild")
    assert 0.6 < both.height / later.height < 0.8
    assert (both["cpu_usage"] != both["cpu_usage_wild"]).all()
    assert (both["outcome"] != both["outcome_wild"]).all()


def test_late_records_of_known_entities_and_a_new_one_are_added(rows, wild):
    added = wild.join(rows, on=["entity", "time"], how="anti")
    late = added.filter(pl.col("time") <= AT)
    assert late.height > 100
    assert (late["known_at"] > AT).all()
    assert set(late["entity"]) - set(rows["entity"]) == {"cll-verify-stranger"}
    assert set(late["entity"]) & set(rows["entity"])


def test_keys_stay_unique_and_sorted_and_the_schema_is_the_same(rows, wild):
    assert wild.schema == rows.schema
    assert not wild.select("entity", "time").is_duplicated().any()
    assert wild.equals(wild.sort("entity", "time"))


def test_incidents_known_later_move_and_known_ones_get_another_end(fleet, rows):
    found = tables.incidents(fleet)
    wild = perturb.incidents(found, rows["entity"], AT)
    assert wild.schema == found.schema
    left, right = known(found), known(wild)
    assert left.drop("end").equals(right.drop("end"))
    over = left["end"] <= AT
    assert left.filter(over)["end"].equals(right.filter(over)["end"])
    assert (right.filter(~over)["end"] > AT).all()
    late = wild.filter((pl.col("start") <= AT) & (pl.col("known_at") > AT))
    assert late.height > 0
    later = found.filter(pl.col("known_at") > AT).select("entity", "start")
    assert later.join(wild, on=["entity", "start"], how="semi").is_empty()


def test_an_incident_without_an_end_ends_after_the_instant(rows):
    start = AT - timedelta(hours=2)
    row = ("agent-001", start, None, start, None)
    open_ = pl.DataFrame([row], schema=INCIDENTS, orient="row")
    wild = known(perturb.incidents(open_, rows["entity"], AT))
    assert wild["end"].to_list() == [AT + timedelta(hours=1)]
