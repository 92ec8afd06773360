import json
import shutil
import subprocess
import sys

import pytest
from rich.console import Console

from cll.pipeline.report.rendering import NOTHING
from cll.review import render, review
from cll.types.errors import Unavailable
from cll.vcs import staleness
from tests.build import small
from tests.build.history import GATE, commit, figures, git, repository, write

pytestmark = pytest.mark.slow

PIPELINE = """\
stages:
  one:
    cmd: python -c "import shutil; shutil.copy('params.yaml', 'made')"
    deps: [params.yaml]
    outs: [made]
"""


def dvc(folder, *words):
    subprocess.run([sys.executable, "-m", "dvc", *words, "-q"], cwd=folder, check=True)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A project of one stage, up to date and committed."""
    folder = repository(tmp_path_factory.mktemp("reviewed") / "project")
    dvc(folder, "init")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("set: {}\n")
    (folder / "one").mkdir()
    dvc(folder, "repro")
    (folder / ".gitignore").write_text("/made\n")
    write(folder, figures(), draws_seed=1)
    commit(folder)
    return folder


@pytest.fixture
def root(reproduced, tmp_path):
    return shutil.copytree(reproduced, tmp_path / "project")


def test_without_figures_on_either_side_there_is_nothing_to_compare(root):
    (root / "metrics.json").unlink()
    commit(root)
    with pytest.raises(
        Unavailable, match=r"^metrics\.json: missing both at HEAD \(.*run `dvc repro`"
    ):
        review.review_revision(root, "HEAD")


@pytest.mark.parametrize(
    ("side", "says"),
    [
        ("before", "metrics.json was never committed at HEAD ("),
        ("after", "metrics.json does not exist yet; run `dvc repro` first."),
    ],
)
def test_without_metrics_in_one_state_it_is_undecided(root, side, says):
    (root / "metrics.json").unlink()
    if side == "before":
        commit(root)
        write(root, figures())
    said = small.cll(root, "diff", "HEAD", "--fail-on", "regression")
    assert said.code == 11
    assert said.err.startswith(f"cll: It is undecided whether a metric got worse: {says}")
    assert said.err.count("\n") == 1
    assert small.cll(root, "diff", "HEAD").code == 0


def test_figures_older_than_the_working_tree_leave_it_undecided(root):
    (root / "params.yaml").write_text("set: {a: 1}\n")
    said = small.cll(root, "diff", "--fail-on", "regression")
    assert said.code == 11
    assert said.err.endswith("one: params.yaml is modified; run `dvc repro`.\n")
    assert "stage    one would run: params.yaml is modified" in said.out


def test_stages_that_would_run_are_an_exit_code(root):
    assert small.cll(root, "diff", "HEAD", "--fail-on", "stale").code == 0
    (root / "params.yaml").write_text("set: {a: 1}\n")
    said = small.cll(root, "diff", "--fail-on", "stale")
    assert said.code == 2
    assert said.err == (
        "cll: one: params.yaml is modified since it ran; run `dvc repro` and commit.\n"
    )


def test_a_clone_without_dvcs_cache_has_no_changes(root, tmp_path):
    git(tmp_path, "clone", "-q", str(root), "clone")
    assert not (tmp_path / "clone" / "made").exists()
    clone = tmp_path / "clone"
    words = ["diff", "HEAD", "--fail-on", "stale", "--fail-on", "regression"]
    assert small.cll(clone, *words).code == 0


@pytest.mark.parametrize(
    ("metrics", "code", "says"),
    [
        (figures(roc_auc=0.7), 10, "Worse by more than noise: roc_auc 0.8 -> 0.7 (-0.1 to -0.1)."),
        (figures(roc_auc=0.7, holdout_id="x"), 10, "Worse by more than noise: roc_auc 0.8 -> 0.7"),
        (figures(roc_auc=0.79, holdout_id="x"), 0, "No metric that the gate reads got worse"),
        (figures(roc_auc=0.9), 0, "No metric that the gate reads got worse"),
        (figures(), 0, "Every figure is the same."),
    ],
)
def test_a_regression_is_an_exit_code(root, metrics, code, says):
    write(root, metrics, draws_seed=1)
    said = small.cll(root, "diff", "HEAD", "--fail-on", "regression")
    assert said.code == code
    assert said.out.splitlines()[-1].startswith(says)
    assert said.err == (f"cll: {said.out.splitlines()[-1]}\n" if code else "")


def test_equal_figures_are_not_printed(root):
    write(root, figures(), estimator={"C": 0.1})
    text = small.cll(root, "diff", "HEAD").out
    assert "roc auc" not in text
    assert "estimator.C" in text
    assert text.splitlines()[-1] == "Every figure is the same."


def test_the_metric_without_an_interval_is_named(root):
    metrics = figures(roc_auc=0.5, holdout_id="x")
    del metrics["candidate"]["roc_auc"]["low"]
    write(root, metrics)
    said = small.cll(root, "diff", "--fail-on", "regression")
    assert said.code == 11
    assert "worse: roc_auc has no interval in this state.\n" in said.err


def test_a_gate_without_a_metric_leaves_it_undecided(root):
    write(root, figures(roc_auc=0.1), gate={"baselines": []})
    git(root, "rm", "-q", "--cached", "resolved.yaml")
    git(root, "commit", "-qm", "no gate")
    reviewed = review.review_revision(root, "HEAD")
    assert reviewed.undecided == "neither state's gate names a metric."


def test_markdown_and_json_stand_alone(root):
    said = small.cll(root, "diff", "--md", "--json")
    assert (said.code, said.err) == (
        2,
        "cll: --md, --json: they exclude each other; leave one out.\n",
    )


@pytest.fixture
def changed(root):
    """Another setting, other data, and a verdict that turned."""
    metrics = figures(roc_auc=0.5, recall=0.3, holdout_id="x")
    metrics["data"]["rows"] = 120
    metrics["events"]["caught"] = 4
    more = {"label": {"kinds": None}, "odd": {"a|b": "`@you` [x]"}}
    write(root, metrics, answer="reject", estimator={"C": 0.1}, **more)
    (root / "registry").mkdir()
    section = {"days": 1, "since": "2026-01-01", "until": "2026-01-01"}
    (root / "registry" / "schema.yaml").write_text(json.dumps({"files": section}))
    return root


def test_the_terminal_shows_all_that_differs(changed):
    text = small.cll(changed, "diff").out
    squeezed = [" ".join(line.split()) for line in text.splitlines()]
    assert squeezed[0].startswith("compared with HEAD (")
    assert "roc auc 0.800 0.500 -0.300 -0.328 .. -0.272 worse" in squeezed
    assert f"recall {NOTHING} 0.300 undecided" in squeezed
    assert "estimator.C 1.0 0.1" in squeezed
    assert f"label.kinds {NOTHING} null" in squeezed
    assert f"odd.a|b {NOTHING} `@you` [x]" in squeezed
    assert "rows 100 120" in squeezed
    assert "events.caught 3 4" in squeezed
    assert "schema files: new, inferred from 1 day, 2026-01-01 to 2026-01-01" in squeezed
    assert "verdict promote 0a -> reject 0a" in squeezed
    assert "floor.roc_auc: passed -> failed" in squeezed
    assert "watched average_precision, calibration_error, roc_auc" in squeezed
    assert any("differ (same -> x), so differences are computed from both" in s for s in squeezed)


def test_the_terminal_leaves_the_ends_of_other_intervals_to_markdown(root):
    metrics = figures()
    metrics["champion"] = metrics["candidate"]
    write(root, metrics)
    text = small.cll(root, "diff").out
    assert "champion.roc_auc.value" in text
    assert "champion.roc_auc.low" not in text
    assert "champion.roc_auc.low" in small.cll(root, "diff", "--md").out


def test_a_narrow_terminal_cuts_no_sentence(changed, capsys):
    reviewed = review.review_revision(changed, "HEAD")
    render.show(reviewed, Console(width=40))
    assert reviewed.comparison.pairing in capsys.readouterr().out


def test_markdown_is_a_comment_that_can_be_found_again(changed):
    text = small.cll(changed, "diff", "--md").out
    lines = text.splitlines()
    assert lines[0] == "<!-- cll diff -->"
    assert lines[1].startswith("### ❌ Worse by more than noise: roc_auc 0.8 -&#62; 0.5")
    assert "| ROC AUC ◆ | 0.800 | 0.500 | -0.300 | -0.328 .. -0.272 | worse |" in lines
    assert f"| Recall | {NOTHING} | 0.300 |  |  | undecided |" in lines
    assert "| `estimator.C` | `1.0` | `0.1` |" in lines
    assert "- files: new, inferred from 1 day, 2026-01-01 to 2026-01-01" in lines
    assert "@you" not in text
    assert len(text) < 65_536


def test_many_settings_fit_into_a_comment(changed):
    write(changed, figures(), many={f"key_{n}": "x" * 500 for n in range(900)})
    text = small.cll(changed, "diff", "--md").out
    assert len(text) < 65_536
    assert "more are in the output of `cll diff --json`." in text


def test_json_has_no_key_for_a_value_that_a_state_lacks(changed):
    tree = json.loads(small.cll(changed, "diff", "--json").out)
    assert (tree["form"], tree["version"], tree["regressed"]) == ("diff", 1, True)
    assert tree["before"]["commit"] == git(changed, "rev-parse", "HEAD")
    assert tree["params"]["estimator.C"] == {"before": 1.0, "after": 0.1}
    assert tree["params"]["label.kinds"] == {"after": None}
    assert tree["data"] == {"rows": {"before": 100, "after": 120}}
    assert tree["metrics"]["roc_auc"]["difference"]["paired"] is False
    assert tree["metrics"]["recall"]["difference"] is None
    assert tree["verdict"]["after"]["answer"] == "reject"
    assert tree["watched"] == ["average_precision", "calibration_error", "roc_auc"]


def test_the_same_states_give_the_same_json(root):
    first = small.cll(root, "diff", "HEAD", "--json").out
    assert small.cll(root, "diff", "HEAD", "--json").out == first
    assert json.loads(first)["regressed"] is False


def test_the_gate_of_the_base_counts_as_well(root):
    write(root, figures(roc_auc=0.5), gate={**GATE, "floors": {}})
    assert small.cll(root, "diff", "--fail-on", "regression").code == 10


def test_a_damaged_trigger_report_does_not_excuse_stages_that_are_due(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "trigger.json").write_text("{}")
    (tmp_path / "world.yaml").write_text('as_of: "2026-01-02T00:00:00Z"\nchampion: none\n')
    assert not staleness._decided(tmp_path)
    said = {"fires": False, "as_of": "2026-01-02T00:00:00Z"}
    (tmp_path / "reports" / "trigger.json").write_text(json.dumps(said))
    assert staleness._decided(tmp_path)
