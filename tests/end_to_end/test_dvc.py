"""The pipeline as its users drive it: real repositories, real DVC."""

import json

import pytest
import yaml

from tests.conftest import ROOT, clone

pytestmark = pytest.mark.slow

SMALL = """\
experiment: null
source: classic
features: kpi
label: outcome
estimator: logistic
set: {}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small project that is reproduced and committed."""
    project = clone(tmp_path_factory.mktemp("dvc") / "project")
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


@pytest.fixture(scope="module")
def trees(made, tmp_path_factory):
    """Another with LightGBM, reproduced and not committed, and what DVC said; it is only read."""
    copy = tmp_path_factory.mktemp("trees") / "project"
    made.run("cp", "-r", ".", str(copy))
    project = type(made)(copy)
    project.write("params.yaml", SMALL.replace("logistic", "lightgbm"))
    return project, project.run("dvc", "repro")


def stages_run(output):
    lines = output.splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def test_nothing_to_do_runs_nothing(project):
    assert stages_run(project.run("dvc", "repro")) == []


def test_another_estimator_runs_what_it_touches(trees):
    ran = stages_run(trees[1])
    assert ran == ["compose", "train", "evaluate", "gate", "report"]


def test_a_comment_in_conf_runs_compose_alone(project):
    path = "conf/estimator/logistic.yaml"
    project.write(path, project.read(path) + "# a comment\n")
    assert stages_run(project.run("dvc", "repro")) == ["compose"]


def test_an_edit_of_a_feature_set_does_not_ingest_again(project):
    project.write("params.yaml", SMALL.replace("kpi", "windows"))
    assert "ingest" not in stages_run(project.run("dvc", "repro"))


def test_an_edit_of_an_estimators_code_trains_again(project):
    path = "cll/components/estimator/logistic.py"
    project.write(path, project.read(path) + "\n# an edit\n")
    ran = stages_run(project.run("dvc", "repro"))
    assert ran[:2] == ["compose", "train"]
    assert "ingest" not in ran
    assert "featurize" not in ran


def test_a_clone_computes_the_same_figures_to_the_last_digit(project, tmp_path):
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "clone"))
    again = type(project)(tmp_path / "clone")
    before, lock = again.read("metrics.json"), again.read("dvc.lock")
    again.run("dvc", "repro", "--force")
    assert again.read("metrics.json") == before
    assert again.read("dvc.lock") == lock


def test_a_wrong_choice_is_one_line_and_leaves_resolved_yaml_as_it_was(project):
    before = project.read("resolved.yaml")
    project.write("params.yaml", SMALL.replace("classic", "klassic"))
    output = project.run("dvc", "repro", code=255)
    assert "cll: source=klassic: no such choice; there are: " in output
    assert "Traceback" not in output
    assert project.read("resolved.yaml") == before


def test_check_tells_when_resolved_yaml_is_stale(project):
    project.run("cll", "compose", "--check")
    project.write("params.yaml", SMALL.replace("logistic", "lightgbm"))
    assert "resolved.yaml: stale" in project.run("cll", "compose", "--check", code=2)


def test_an_experiment_changes_the_choice_and_is_applied(project):
    project.run("dvc", "exp", "run", "-n", "trees", "-S", "estimator=lightgbm")
    assert '"model_type": "lightgbm"' in project.read("models/candidate/model.json")
    assert "params.yaml" in project.run("dvc", "params", "diff", "HEAD")
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "checkout", "-q")
    project.run("dvc", "exp", "apply", "trees")
    assert stages_run(project.run("dvc", "repro")) == []


def test_a_value_is_set_from_the_command_line(project):
    project.run("dvc", "exp", "run", "-S", "+set.estimator.logistic.C=0.01")
    assert "C: 0.01" in project.read("resolved.yaml")
    diff = project.run("dvc", "params", "diff", "HEAD", "--json")
    changed = json.loads(diff)
    assert changed["resolved.yaml"]["estimator.C"]["new"] == 0.01


def test_a_secret_that_dvc_resolves_goes_no_further_than_params_yaml(project):
    secret = "no-file-has-" + "this".upper()
    project.env |= {"STORE_TOKEN": secret}
    value = "+set.source.classic.name=${oc.env:STORE_TOKEN}"
    said = project.run("dvc", "exp", "run", "-S", value, code=255)
    assert "params.yaml.set.source.classic.name: the value of the environment variable" in said
    assert json.loads(project.read("reports/refusal.json"))["exit_code"] == 4
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    holding = [path.name for path in files if secret.encode() in path.read_bytes()]
    assert set(holding) <= {"params.yaml"}


def test_metrics_diff_shows_the_figures_of_two_versions(trees):
    diff = json.loads(trees[0].run("dvc", "metrics", "diff", "HEAD", "--json"))
    assert "candidate.roc_auc.value" in diff["metrics.json"]


def test_the_plots_of_two_versions_are_drawn(trees):
    trees[0].run("dvc", "plots", "diff", "HEAD", "-o", "drawn")
    assert "roc" in trees[0].read("drawn/index.html").lower()


def test_queued_experiments_all_succeed(project):
    project.run("dvc", "exp", "run", "--queue", "-S", "estimator=logistic,lightgbm")
    project.run("dvc", "queue", "start", "-j", "1")
    for _ in range(120):
        status = project.run("dvc", "queue", "status")
        if "Queued" not in status and "Running" not in status:
            break
        project.run("sleep", "1")
    assert status.count("Success") == 2


def test_a_source_without_its_folder_says_so(project):
    project.write("params.yaml", SMALL.replace("classic", "agent_runs"))
    output = project.run("dvc", "repro", code=255)
    assert "cll: source.path=runs: no such folder" in output
    refusal = json.loads(project.read("reports/refusal.json"))
    assert refusal["exit_code"] == 6


def test_ingest_prints_five_numbers_that_add_up(project):
    counts = json.loads(project.run("cll", "ingest", "--json"))
    assert counts["in"] == sum(v for k, v in counts.items() if k != "in") == 1000


NEW_METRIC = '''\
"""The share of rows with an alert."""

from cll.types.arrays import Floats, Scored
from cll.types.directions import lower_is_better


@lower_is_better
def alerts(rows: Scored, weight: Floats) -> float:
    return float(weight[rows.alert].sum() / weight.sum())
'''

NEW_ESTIMATOR = '''\
"""The same log-odds for every row."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Model:
    level: float
    names: tuple[str, ...]
    rounds: int = 0

    @property
    def importance(self):
        return dict.fromkeys(self.names, 0.0)

    def margin(self, X):
        return np.full(len(X), self.level)

    def parts(self):
        return {"level": self.level, "names": list(self.names)}, {}


def load(parts, files):
    return Model(parts["level"], tuple(parts["names"]))


@dataclass(frozen=True)
class Level:
    shift: float = 0.0

    def __call__(self, train, seed, valid=None, rounds=None):
        return Model(float(np.log(train.y.mean() / (1 - train.y.mean()))) + self.shift, train.names)
'''


def test_a_metric_and_an_estimator_of_ones_own_are_a_file_and_a_yaml_each(project):
    project.write("cll/components/metric/mine.py", NEW_METRIC)
    project.write(
        "conf/metric/mine.yaml", "alerts: {_target_: cll.components.metric.mine.alerts}\n"
    )
    project.write("cll/components/estimator/mine.py", NEW_ESTIMATOR)
    project.write(
        "conf/estimator/mine.yaml", "_target_: cll.components.estimator.mine.Level\nshift: 0.0\n"
    )
    params = SMALL.replace("logistic", "mine") + "metric: [standard, mine]\n"
    project.write("params.yaml", params)
    project.run("dvc", "repro")
    figures = json.loads(project.read("metrics.json"))["candidate"]
    assert figures["alerts"]["value"] in {0.0, 1.0}
    assert figures["roc_auc"]["value"] == 0.5
    assert json.loads(project.read("models/candidate/model.json"))["model_type"] == "mine"


EDITS = """\


def edit(path, text):
    from pathlib import Path

    once = Path(".cll/edited")
    if not once.exists():
        once.touch()
        with Path(path).open("a") as file:
            file.write(text)
"""


def edited_while(stage, path):
    """Return an estimator that, as a person might, edits a file while a stage runs."""
    edit = f"edit({path!r}, '# an edit\\n')\n"
    if stage == "compose":  # which imports it, to hold its settings against the annotations
        return (
            NEW_ESTIMATOR
            + EDITS
            + f"\n\nimport sys\n\nif sys.argv[1:] == ['stage', 'compose']:\n    {edit}"
        )
    return (
        NEW_ESTIMATOR.replace("        return Model(", f"        {edit}        return Model(")
        + EDITS
    )


@pytest.mark.parametrize(
    ("stage", "path"),
    [
        ("compose", "params.yaml"),
        ("train", "world.yaml"),
        ("train", "cll/components/estimator/mine.py"),
    ],
)
def test_an_edit_while_a_stage_runs_fails_it_and_is_not_recorded(project, stage, path):
    before = recorded(project, stage)
    project.write("cll/components/estimator/mine.py", edited_while(stage, path))
    project.write(
        "conf/estimator/mine.yaml", "_target_: cll.components.estimator.mine.Level\nshift: 0.0\n"
    )
    project.write("params.yaml", SMALL.replace("logistic", "mine"))
    output = project.run("dvc", "repro", code=255)
    what = "the code of cll" if path.endswith(".py") else path
    says = f"cll: {what} changed while stage {stage} ran, so its result is not recorded; run "
    assert output.count(says) == 1
    assert "Traceback" not in output
    assert recorded(project, stage) == before
    refusal = json.loads(project.read("reports/refusal.json"))
    assert (refusal["stage"], refusal["exit_code"]) == (stage, 5)
    assert stage in stages_run(project.run("dvc", "repro"))
    project.run("dvc", "status", "-q")


def recorded(project, stage):
    return yaml.safe_load(project.read("dvc.lock"))["stages"][stage]


PUBLISHED = ROOT.parent / "shared" / "data" / "online-boutique"


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"{PUBLISHED.name}: the data set is not there")
def test_published_telemetry_gives_its_figures_by_one_word_in_params_yaml(tmp_path):
    (tmp_path / "shared").symlink_to(PUBLISHED.parents[1])
    project = clone(tmp_path / "project")
    params = project.read("params.yaml")
    project.write("params.yaml", params.replace("experiment: null", "experiment: online_boutique"))
    project.run("dvc", "repro")
    figures = json.loads(project.read("metrics.json"))
    assert figures["data"]["in"] == figures["data"]["kept"] == 19_356
    held = (figures["data"]["holdout_rows"], figures["data"]["holdout_positives"])
    assert held == (2920, 127)  # of the second day
    assert figures["candidate"]["roc_auc"]["value"] == pytest.approx(0.939, abs=5e-3)
    assert figures["candidate"]["average_precision"]["value"] == pytest.approx(0.7, abs=0.01)
    assert "online_boutique" in project.read("reports/report.md")
