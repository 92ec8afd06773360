import csv
import json

import numpy as np
import polars as pl
import pytest

from cll.experiment import jobs, leaderboard
from cll.pipeline.compose import compose
from cll.system import disk, frames, workspace
from cll.types.errors import ConfigError
from tests.build import small

SWEEP = "sweep"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    small.project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


BRIER = ("gate.metric=brier", "evaluate.paired=[brier]", "evaluate.baseline_metrics=[brier]")


def job(number, figure, *overrides, holdout=0.7, holdout_id="same", says="", seed=0):
    """Leave what a job leaves, with these figures."""
    place = jobs.Path(SWEEP) / str(number)
    ws = workspace.Workspace(jobs.Path(), place)
    status = "failed" if says else "done"
    told = jobs.Job(tuple(overrides), status, says, 3 if says else 0, figure, 1.5 + number, 1.0)
    disk.write_json(place / jobs.JOB, vars(told) | {"overrides": list(overrides)})
    if says:
        return
    tree = compose.resolve(jobs.Path("conf"), {}, list(overrides))
    disk.write_bytes(ws.resolved, compose.render(tree).encode())
    ends = {"value": holdout, "low": holdout - 0.1, "high": holdout + 0.1}
    told = {"candidate": {"average_precision": ends}, "data": {"holdout_id": holdout_id}}
    disk.write_json(place / "metrics.json", told)
    draws = np.random.default_rng(0).normal(holdout, 0.05, 300)
    noise = np.random.default_rng(seed).normal(0, 0.01, 300) if seed else 0
    frames.write_csv(ws.draws, pl.DataFrame({"average_precision": draws + noise}))


def shown(capsys):
    leaderboard.show(jobs.Path(SWEEP))
    rows = csv.DictReader((jobs.Path(SWEEP) / leaderboard.CSV).read_text().splitlines())
    return list(rows), capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_the_figure_out_of_fold_ranks_whatever_the_holdout_says(capsys):
    job(0, 0.5, holdout=0.9)
    job(1, 0.6, holdout=0.7)
    rows, said = shown(capsys)
    assert [row["job"] for row in rows] == ["1", "0"]
    assert "average_precision, ranked out of fold; " in said


@pytest.mark.usefixtures("folder")
def test_the_lowest_figure_is_first_where_the_metric_says_that_lower_is_better(capsys):
    job(0, 0.2, *BRIER)
    job(1, 0.1, *BRIER)
    rows, said = shown(capsys)
    assert [row["job"] for row in rows] == ["1", "0"]
    assert "brier, ranked out of fold; " in said


@pytest.mark.usefixtures("folder")
def test_without_figures_out_of_fold_the_holdout_ranks_and_it_is_said(capsys):
    job(0, None, holdout=0.6)
    job(1, None, holdout=0.8)
    rows, said = shown(capsys)
    assert [row["job"] for row in rows] == ["1", "0"]
    assert "ranked on the holdout, which then can't judge the choice" in said


@pytest.mark.usefixtures("folder")
def test_what_differs_are_choices_and_values_of_the_same_choice(capsys):
    job(0, 0.5, "estimator=logistic", "estimator.C=0.1")
    job(1, 0.4, "estimator=logistic", "estimator.C=0.2")
    job(2, 0.3, "estimator=lightgbm")
    rows, _ = shown(capsys)
    assert [row["estimator"] for row in rows] == ["logistic", "logistic", "lightgbm"]
    assert [row["estimator.C"] for row in rows] == ["0.1", "0.2", ""]
    assert "estimator.num_leaves" not in rows[0]


@pytest.mark.usefixtures("folder")
def test_the_best_five_tell_which_differences_are_noise(capsys):
    job(0, 0.9, holdout=0.70)
    job(1, 0.8, holdout=0.69)  # the same draws, moved: no noise at all
    job(2, 0.7, holdout=0.70, seed=5)
    for number in (3, 4, 5):
        job(number, 0.1, holdout=0.5)
    rows, _ = shown(capsys)
    assert rows[0]["within_noise_of"] == "3"
    assert rows[1]["within_noise_of"] == "3"
    assert rows[2]["within_noise_of"] == "1, 2"
    assert rows[5]["within_noise_of"] == ""


@pytest.mark.usefixtures("folder")
def test_jobs_that_were_judged_on_other_rows_are_not_paired_and_it_is_said(capsys):
    job(0, 0.9, holdout=0.70)
    job(1, 0.8, holdout=0.69, holdout_id="other")
    rows, said = shown(capsys)
    assert rows[0]["within_noise_of"] == "2"
    assert "2 different sets of rows were held out" in said


@pytest.mark.usefixtures("folder")
def test_a_failed_job_has_no_rank_and_says_why(capsys):
    job(0, None, "seed=1", says="label: no incident is known.")
    job(1, 0.5)
    rows, said = shown(capsys)
    assert [row["rank"] for row in rows] == ["1", ""]
    assert rows[1]["says"] == "label: no incident is known."
    assert "1 of 2 jobs failed." in said


@pytest.mark.usefixtures("folder")
def test_where_all_failed_nothing_is_said_to_be_ranked(capsys):
    job(0, None, says="no")
    _, said = shown(capsys)
    assert "ranked" not in said
    assert "1 of 1 jobs failed." in said


@pytest.mark.usefixtures("folder")
def test_ten_comes_after_nine():
    for number in range(12):
        job(number, None, says="no")
    assert [entry.folder.name for entry in leaderboard.rank(jobs.Path(SWEEP)).entries] == [
        str(number) for number in range(12)
    ]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "says"),
    [("nowhere", "nowhere: no such folder; "), ("conf", "conf: no job ended here; ")],
)
def test_a_folder_without_jobs_is_refused(name, says):
    with pytest.raises(ConfigError, match=says):
        leaderboard.show(jobs.Path(name))


@pytest.mark.usefixtures("folder")
def test_a_record_that_is_none_is_refused_by_name():
    job(0, 0.5)
    (jobs.Path(SWEEP) / "0" / jobs.JOB).write_text(json.dumps({"status": "well"}))
    with pytest.raises(leaderboard.jobs.DataRefused, match=r"0/job.json: not what a job writes; "):
        leaderboard.show(jobs.Path(SWEEP))
