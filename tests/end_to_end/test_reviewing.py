"""A change as its reviewers see it: branches that retrain, and how they come together."""

import json
import re

import pytest

from tests.conftest import clone
from tests.end_to_end.test_dvc import SMALL

pytestmark = pytest.mark.slow
BLIND = "set: {features: {kpi: {columns: [response_time]}}}"
STRICT = "set: {estimator: {logistic: {C: 0.5}}}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small project that is reproduced and committed on main."""
    project = clone(tmp_path_factory.mktemp("reviewing") / "project")
    project.run("git", "switch", "-q", "-C", "main")
    project.run("git", "remote", "remove", "origin")
    project.write("params.yaml", SMALL)
    project.run("dvc", "repro")
    project.commit()
    return project


@pytest.fixture
def project(made, tmp_path):
    """A copy of it for one test, with DVC's cache."""
    copy = tmp_path / "project"
    made.run("cp", "-r", ".", str(copy))
    return type(made)(copy)


def retrained(project, branch, old, new):
    """Change params.yaml on a branch of its own, reproduce and commit."""
    project.run("git", "switch", "-q", "-c", branch, "main")
    project.write("params.yaml", project.read("params.yaml").replace(old, new))
    project.run("dvc", "repro")
    project.commit()


def recipe(project, code=2):
    """Return the commands that `cll` answers a conflict with."""
    said = project.run("cll", "show", code=code)
    assert said.count("\n") == 1
    return re.findall(r"`([^`]+)`", said)


def test_a_change_is_reviewed_from_its_branch_to_the_merge(project):
    project.run("git", "switch", "-q", "-c", "value", "main")
    project.write("params.yaml", project.read("params.yaml").replace("set: {}", STRICT))
    said = project.run("cll", "diff", "--fail-on", "stale", code=2)
    assert "cll: compose: params.yaml: set is modified since it ran" in said
    project.run("dvc", "repro")
    project.commit()
    text = project.run("cll", "diff", "--md", "--fail-on", "stale", "--fail-on", "regression")
    assert text.startswith("<!-- cll diff -->\n### ✅ No metric that the gate reads got worse")
    assert "Compared with `main (" in text
    assert "differences are paired" in text
    assert "| `estimator.C` | `1.0` | `0.5` |" in text
    project.run("git", "switch", "-q", "main")
    project.run("git", "merge", "-q", "--no-ff", "-m", "merge", "value")
    project.run("dvc", "status", "-q")
    told = json.loads(project.run("cll", "diff", "--json"))
    assert told["params"] == {"estimator.C": {"before": 1.0, "after": 0.5}}


def test_a_change_that_loses_the_signal_is_a_regression_by_the_same_figures_as_dvcs(project):
    retrained(project, "blind", "set: {}", BLIND)
    said = project.run("cll", "diff", "--fail-on", "regression", code=10)
    assert "cll: Worse by more than noise: " in said
    ours = json.loads(project.run("cll", "diff", "--json"))
    theirs = json.loads(project.run("dvc", "metrics", "diff", "main", "--json"))["metrics.json"]
    assert ours["metrics"]["roc_auc"]["says"] == "worse"
    assert ours["metrics"]["roc_auc"]["difference"]["paired"] is True
    for name, told in ours["metrics"].items():
        for end in told["after"] or {}:
            there = theirs.get(f"candidate.{name}.{end}")  # what is the same stands not there
            here = {"old": told["before"][end], "new": told["after"][end]}
            assert there is None or {k: there[k] for k in here} == here
            assert there is not None or here["old"] == here["new"]


def test_a_clone_without_data_reviews_as_well(project, tmp_path):
    retrained(project, "blind", "set: {}", BLIND)
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "clone"))
    there = type(project)(tmp_path / "clone")
    assert not (there.folder / "data" / "signals").exists()
    there.run("cll", "diff", "origin/main...", "--fail-on", "stale")
    there.run("cll", "diff", "origin/main...", "--fail-on", "regression", code=10)
    there.write(
        "cll/pipeline/gate/gate.py", there.read("cll/pipeline/gate/gate.py") + "\n# an edit\n"
    )
    said = there.run("cll", "diff", "--fail-on", "stale", code=2)
    assert "stage    compose would run: cll is modified" in said
    assert "stage    train" not in said


def test_other_rows_in_the_holdout_are_told_and_not_paired(project):
    retrained(project, "split", "set: {}", "set: {split: {time: {holdout: 0.3}}}")
    said = project.run("cll", "diff")
    assert "The held-out rows or their bootstrap draws differ (" in said
    assert ", paired" not in said


def test_two_branches_that_both_retrained_merge_by_the_recipe(project):
    retrained(project, "trees", "estimator: logistic", "estimator: lightgbm")
    retrained(project, "value", "set: {}", STRICT)
    project.run("git", "merge", "trees", code=1)
    checkout, repro, add, commit = recipe(project)
    params = project.read("params.yaml")
    start, end = params.index("<<<<<<< "), params.index(">>>>>>> ")
    resolved = f"estimator: lightgbm\n{STRICT}\n"
    project.write("params.yaml", params[:start] + resolved + params[params.index("\n", end) + 1 :])
    project.run(*checkout.split())
    project.run(*repro.split())
    project.run(*add.split())
    project.run(*commit.split(), "--no-edit")
    project.run("dvc", "status", "-q")
    assert project.run("git", "status", "--porcelain") == ""
    assert '"model_type": "lightgbm"' in project.read("models/candidate/model.json")
    told = json.loads(project.run("cll", "diff", "--json", "--fail-on", "stale"))
    assert told["params"]["choices.estimator"] == {"before": "logistic", "after": "lightgbm"}
    project.run("cll", "diff", "trees", "--fail-on", "stale", "--fail-on", "regression")


def test_a_tick_in_a_real_project_moves_the_world_and_trains_and_commits_nothing_unasked(project):
    head = project.run("git", "rev-parse", "HEAD")
    model = project.read("models/candidate/model.json")
    said = project.run("cll", "--quiet", "tick", "--as-of", "2026-02-01T00:00:00Z")
    assert re.search(r"world\.as_of +2026-01-31T00:00:00Z +2026-02-01T00:00:00Z", said)
    assert project.run("git", "rev-parse", "HEAD") == head
    assert " M world.yaml" in project.run("git", "status", "--porcelain").splitlines()
    assert project.read("models/candidate/model.json") == model
    behind = json.loads(project.run("dvc", "status", "--json"))
    assert behind.keys() == {"train", "evaluate", "report"}  # what came in is ingested
    project.run("cll", "diff", "--fail-on", "stale")  # and no trigger asks for more
