import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.build import small
from tests.build.history import commit, figures, git, repository, write
from tests.conftest import BIN

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# As text, for `on` is no truth value here.
TREES = {path.name: yaml.load(path.read_text(), yaml.BaseLoader) for path in FILES}  # noqa: S506
STEPS = [
    pytest.param(step, id=f"{name}: {step.get('name', step.get('run', step.get('uses')))}")
    for name, tree in TREES.items()
    for job in tree["jobs"].values()
    for step in job["steps"]
]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(path):
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


@pytest.mark.parametrize("name", TREES)
def test_nothing_is_allowed_that_a_job_does_not_ask_for(name):
    assert TREES[name]["permissions"] == {}
    assert "concurrency" in TREES[name]
    assert all("permissions" in job for job in TREES[name]["jobs"].values())


def test_no_workflow_gives_a_fork_more_than_its_own_token():
    assert set(TREES["check.yml"]["on"]) <= {"pull_request"}
    assert set(TREES["tick.yml"]["on"]) == {"schedule", "workflow_dispatch"}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_a_make_target_or_a_command_of_ours(step):
    if "uses" in step:
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"
        return
    program, word, *_ = step["run"].split()
    assert "${{" not in step["run"]
    if program == "make":
        assert word in TARGETS
    else:
        assert program == ".venv/bin/cll"
        assert small.cll(ROOT, word, "--help").code == 0


GH = """\
#!/bin/sh
printf '%s\\n' "$*" >> {log}
case "$*" in
  *--paginate*) cat {folder}/comments ;;
  *"pr list"*) cat {folder}/pulls ;;
esac
"""


@pytest.fixture
def work(tmp_path):
    """A repository with an origin, and a `gh` that answers from files and keeps what it was told."""
    folder = repository(tmp_path / "project")
    (folder / ".gitignore").write_text("/.cll\n")
    (folder / "Makefile").write_text((ROOT / "Makefile").read_text())
    subprocess.run([BIN / "dvc", "init", "-q"], cwd=folder, check=True)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    write(folder, figures())
    commit(folder)
    git(tmp_path, "init", "-q", "--bare", "origin.git")
    git(folder, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(folder, "push", "-q", "origin", "main")
    outside = tmp_path / "bin"
    outside.mkdir()
    for name in ("comments", "pulls"):
        (outside / name).write_text("")
    (outside / "gh").write_text(GH.format(log=outside / "log", folder=outside))
    (outside / "gh").chmod(0o755)
    return folder


def make(work, target, code=0, **env):
    outside = work.parent / "bin"
    done = subprocess.run(
        ["make", "-o", "setup", target],
        cwd=work,
        env={**os.environ, "PATH": f"{outside}:{BIN}:{os.environ['PATH']}", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    log = outside / "log"
    return log.read_text() if log.is_file() else done.stdout


@pytest.mark.slow
def test_the_review_goes_into_the_summary(work, tmp_path):
    (tmp_path / "summary").write_text("before\n")
    make(work, "review", BASE="HEAD", GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert (tmp_path / "summary").read_text().startswith("before\n<!-- cll diff -->\n### ✅ Every")


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ("", "api --silent -X POST repos/o/r/issues/7/comments -F body=@.cll/review.md"),
        ("5\n6\n", "api --silent -X PATCH repos/o/r/issues/comments/5 -F body=@.cll/review.md"),
    ],
    ids=["no comment yet", "a comment that is updated"],
)
@pytest.mark.slow
def test_the_review_is_one_comment_that_is_found_by_its_first_line(work, there, says):
    make(work, "review", BASE="HEAD")
    (work.parent / "bin" / "comments").write_text(there)
    asked, told = make(work, "comment", GITHUB_REPOSITORY="o/r", PULL="7").splitlines()
    marker = (work / ".cll" / "review.md").read_text().splitlines()[0]
    assert f'startswith("{marker}")' in asked
    assert told == says


@pytest.mark.slow
def test_a_tick_that_changed_nothing_proposes_nothing(work):
    assert "nothing to propose" in make(work, "propose", BASE="main")


@pytest.mark.parametrize(
    ("pulls", "says"), [("", "pr create --head tick --base main"), ("3\n", "pr edit tick")]
)
@pytest.mark.slow
def test_what_a_tick_changed_is_one_pull_request(work, pulls, says):
    (work.parent / "bin" / "pulls").write_text(pulls)
    world = work / "world.yaml"
    git(work, "switch", "-qc", "tick")
    world.write_text(world.read_text().replace("01-31", "02-01"))
    git(work, "commit", "-qam", "Move as_of to 2026-02-01T00:00:00Z: not trained")
    git(work, "switch", "-q", "main")
    told = make(work, "propose", BASE="main").splitlines()
    assert told[0] == "auth setup-git"
    assert (
        told[-1]
        == f"{says} --title Move as_of to 2026-02-01T00:00:00Z: not trained --body-file .cll/review.md"
    )
    assert "`world.as_of`" in (work / ".cll" / "review.md").read_text()
    origin = work.parent / "origin.git"
    assert git(origin, "log", "-1", "--format=%s", "tick") == (
        "Move as_of to 2026-02-01T00:00:00Z: not trained"
    )
    assert git(origin, "rev-parse", "tick~1") == git(origin, "rev-parse", "main")
