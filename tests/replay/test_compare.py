"""Replays of several policies: here only their order and the best one in hindsight."""

import csv
from pathlib import Path

import pytest

from cll.experiment import jobs
from cll.pipeline.compose import compose
from cll.replay import compare, job
from cll.replay.log import TICKS
from cll.system import disk, workspace
from tests.build import small

COST = {"train_seconds": 1.0, "judge_seconds": 1.0}


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(small.project(tmp_path / "project").root)
    return Path("sweep")


def replay(sweep, name, metric, value):
    """Leave what a replay leaves, with a figure of the gate's metric."""
    place = sweep / name
    tree = compose.resolve(Path("conf"), {}, asked(metric))
    disk.write_bytes(workspace.Workspace(Path(), place).resolved, compose.render(tree).encode())
    disk.write_json(place / jobs.JOB, vars(jobs.Job((), "done", seconds=1.0)))
    disk.write_bytes(place / TICKS, b"")
    others = {other: {} for other in ("first", "newest", "no_change")}
    told = {"policy": {metric: value}, **others, "cost": COST, "counts": {}}
    disk.write_json(place / job.FIGURES, told)


def asked(metric):
    return [f"gate.metric={metric}", *(f"evaluate.{k}=[{metric}]" for k in KEYS)]


KEYS = ("paired", "baseline_metrics")


@pytest.mark.parametrize(("metric", "best"), [("f1", "b"), ("brier", "a")])
def test_the_metric_states_which_policy_is_first_and_has_no_regret(sweep, metric, best):
    replay(sweep, "a", metric, 0.2)
    replay(sweep, "b", metric, 0.7)
    compare.compare(sweep)
    rows = list(csv.DictReader((sweep / compare.CSV).read_text().splitlines()))
    assert rows[0]["job"] == best
    assert [row[f"regret_{metric}"] for row in rows] == ["0.0000", "0.5000"]
