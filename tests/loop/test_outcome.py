import json
import shutil

import pytest

from cll.loop import outcome, tick
from cll.model import ledger_entries
from cll.release import ledger, remote
from cll.system import disk
from cll.types.errors import Unavailable
from cll.vcs import git
from tests.build import released
from tests.run import turning

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    """A project whose model in force is weak, a better estimator chosen, and no candidate."""
    made = turning.ledgered(tmp_path_factory)
    ws = turning.copied(made, tmp_path_factory.mktemp("weak") / "project")
    turning.better(ws)
    turning.forgotten(ws)
    return ws


@pytest.fixture
def ws(weak, tmp_path):
    return turning.copied(weak, tmp_path / "project")


@pytest.fixture(scope="module")
def promoted(weak, tmp_path_factory):
    """That project after the tick that released a better model, and what the tick said."""
    ws = turning.copied(weak, tmp_path_factory.mktemp("promoted") / "project")
    return ws, ticked(ws, turning.SECOND, "--mode", "auto")


@pytest.fixture
def plain(tmp_path_factory, tmp_path):
    """A project without a ledger."""
    return turning.copied(turning.project(tmp_path_factory), tmp_path / "project")


def ticked(ws, as_of, *words, code=0):
    said = released.cll(ws.root, "--quiet", "tick", "--as-of", as_of, *words)
    assert said.code == code, said.err
    return said


def log(ws, branch="HEAD"):
    return released.git(ws.root, "log", "--format=%s", branch).splitlines()


def world(ws):
    return (ws.root / "world.yaml").read_text()


def test_what_is_not_committed_and_no_part_of_a_tick_is_refused_before_anything_is_done(plain):
    (plain.root / "params.yaml").write_text("set: {}\n")
    before = world(plain)
    said = ticked(plain, turning.SECOND, "--mode", "auto", code=2)
    assert said.err.startswith("cll: params.yaml: not committed, and no part of a release;")
    assert world(plain) == before
    assert released.git(plain.root, "status", "--porcelain") == "M params.yaml"


def test_the_branch_of_ticks_can_not_be_the_one_that_is_worked_on(plain):
    released.git(plain.root, "switch", "-qc", outcome.BRANCH)
    said = ticked(plain, turning.SECOND, "--mode", "branch", code=2)
    assert said.err == ("cll: HEAD is on tick, which ticks overwrite; `git switch` to another.\n")


def test_a_push_to_nowhere_is_refused_before_anything_is_done(plain):
    text = (plain.root / "params.yaml").read_text()
    (plain.root / "params.yaml").write_text(f"{text}  release: {{default: {{push: true}}}}\n")
    released.cll(plain.root, "compose")
    released.commit(plain.root)
    said = ticked(plain, turning.SECOND, "--mode", "auto", code=2)
    assert "release.push: this branch has no upstream; `git push --set-upstream" in said.err
    assert log(plain) == ["as it is", "as it is"]


def test_unless_it_is_asked_for_nothing_is_committed(plain):
    turning.arrive(plain, "2026-01-05")
    said = ticked(plain, turning.SECOND)
    assert said.out.splitlines()[-1].startswith("Every figure is the same")
    assert log(plain) == ["as it is"]
    assert turning.SECOND in world(plain)


def test_what_came_in_is_a_commit_that_says_so_and_why_nothing_was_trained(plain):
    model = (plain.candidate / "model.json").read_bytes()
    turning.arrive(plain, "2026-01-05")
    said = ticked(plain, turning.SECOND, "--mode", "auto")
    assert said.out.splitlines()[-1].startswith("Committed: ")
    assert log(plain)[0] == f"Move as_of to {turning.SECOND}: not trained"
    body = released.git(plain.root, "log", "-1", "--format=%b")
    assert f"From {turning.FIRST}." in body
    assert "Records: 620 in = 620 kept" in body
    assert "Before: 600 in." in body
    assert "Not trained:\n- never: Nothing asks for a training." in body
    assert (plain.candidate / "model.json").read_bytes() == model
    assert released.git(plain.root, "status", "--porcelain") == ""
    said = released.cll(plain.root, "diff", "HEAD~1", "--fail-on", "stale")
    assert said.code == 0, said.err  # no trigger fired, so nothing is overdue

    said = ticked(plain, turning.THIRD, "--mode", "auto")
    assert said.out.splitlines()[-1] == "Nothing but as_of is new, so there is no commit."
    assert len(log(plain)) == 2
    assert turning.THIRD in world(plain)  # it stays moved, and the next tick goes on
    turning.arrive(plain, "2026-01-06")
    ticked(plain, "2026-01-08T00:00:00Z", "--mode", "auto")
    assert log(plain)[0] == "Move as_of to 2026-01-08T00:00:00Z: not trained"
    assert f"From {turning.THIRD}." in released.git(plain.root, "log", "-1", "--format=%b")


def test_without_a_ledger_it_commits_and_says_how_to_begin_one(plain):
    turning.better(plain)
    turning.forgotten(plain)
    said = ticked(plain, turning.SECOND, "--mode", "auto")
    assert said.out.splitlines()[-1] == (
        "Not released: there is no ledger yet; begin one with `cll release --bootstrap`."
    )
    assert log(plain)[0] == f"Move as_of to {turning.SECOND}: not released"
    assert not (plain.root / ledger_entries.PATH).exists()
    assert released.cll(plain.root, "release", "--bootstrap", "--why", "now").code == 0


def test_what_the_gate_promotes_is_one_commit_that_counts_from_the_next_tick_on(promoted, tmp_path):
    ws, said = turning.copied(promoted[0], tmp_path / "project"), promoted[1]
    before = ledger.read(ws.root).committed[0].model_id
    assert " is released from the next tick on: commit " in said.out.splitlines()[-1]
    entry = ledger.read(ws.root).committed[-1]
    assert log(ws)[0] == f"Release v1.1.0: model {entry.model_id}"
    assert entry.why == "Nothing was trained yet. The gate promotes it."
    assert entry.as_of == turning.SECOND
    changed = released.git(ws.root, "show", "--name-only", "--format=", "HEAD").split()
    assert {
        "world.yaml",
        "metrics.json",
        "dvc.lock",
        "reports/verdict.json",
        ledger_entries.PATH,
    } <= {*changed}
    assert released.git(ws.root, "status", "--porcelain") == ""
    assert f'champion: "{before}"' in world(ws)
    assert released.cll(ws.root, "registry", "verify").code == 0

    ticked(ws, turning.THIRD, "--mode", "auto")
    assert f'champion: "{entry.model_id}"' in world(ws)
    assert log(ws)[0] == f"Move as_of to {turning.THIRD}: not trained"
    body = released.git(ws.root, "log", "-1", "--format=%b")
    assert f"Champion from this tick on: {entry}; before: v1.0.0 ({before})." in body


def test_what_the_gate_rejects_is_committed_and_not_released(promoted, tmp_path):
    ws = turning.copied(promoted[0], tmp_path / "project")
    turning.forgotten(ws)
    ticked(ws, turning.THIRD, "--mode", "auto")
    assert log(ws)[0] == f"Move as_of to {turning.THIRD}: rejected"
    body = released.git(ws.root, "log", "-1", "--format=%b")
    assert "Verdict: reject " in body
    assert "- failed: " in body
    assert len(ledger.read(ws.root).committed) == 2


def test_on_a_branch_of_its_own_it_leaves_branch_and_tree_as_they_were(ws):
    turning.dvc(ws.root, "checkout")
    mine = (ws.root / "reports" / "verdict.json").read_bytes()
    (ws.root / "reports" / "note.md").write_text("of mine, and not committed")
    before = (
        released.git(ws.root, "status", "--porcelain"),
        released.git(ws.root, "rev-parse", "HEAD"),
    )
    outcome.training(ws.root).touch()  # so that it trains
    said = ticked(ws, turning.SECOND, "--mode", "branch")
    assert " is released once tick is merged: commit " in said.out.splitlines()[-1]
    after = (
        released.git(ws.root, "status", "--porcelain"),
        released.git(ws.root, "rev-parse", "HEAD"),
    )
    assert after == before
    assert (ws.root / "reports" / "verdict.json").read_bytes() == mine
    assert disk.read_json(ws.candidate / "model.json")["created"] == turning.FIRST
    assert len(ledger.read(ws.root).entries) == 1
    assert released.git(ws.root, "rev-parse", "tick~1") == before[1]
    assert log(ws, "tick")[0].startswith("Release v1.1.0: model ")
    (ws.root / "reports" / "note.md").unlink()
    released.git(ws.root, "merge", "-q", "--ff-only", "tick")
    assert len(ledger.read(ws.root).committed) == 2
    assert released.cll(ws.root, "registry", "verify").code == 0


def test_a_release_that_was_broken_off_before_its_commit_is_finished_first(ws, monkeypatch):
    def fail(*_):
        raise Unavailable("the disk is full; see to it.")

    with monkeypatch.context() as patched:
        patched.setattr(git, "commit", fail)
        said = ticked(ws, turning.SECOND, "--mode", "auto", code=6)
    assert said.err.endswith("the disk is full; see to it.\n")
    assert turning.SECOND in world(ws)  # the release follows from it
    assert len(ledger.read(ws.root).pending) == 1
    said = ticked(ws, turning.THIRD, "--mode", "auto")
    assert "committed now; an earlier command was interrupted before its commit." in said.err
    assert log(ws)[:2] == [
        f"Move as_of to {turning.THIRD}: rejected",
        f"Release v1.1.0: model {ledger.read(ws.root).champion}",
    ]


def test_a_commit_that_fails_leaves_the_world_as_it_was_and_the_next_tick_goes_on(plain):
    turning.arrive(plain, "2026-01-05")
    hook = plain.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    before = world(plain)
    ticked(plain, turning.SECOND, "--mode", "auto", code=6)
    assert world(plain) == before
    assert json.loads((plain.root / tick.LAST).read_text())["code"] == 6
    hook.unlink()
    ticked(plain, turning.SECOND, "--mode", "auto")
    assert log(plain)[0] == f"Move as_of to {turning.SECOND}: not trained"


def test_another_machine_ticks_on_after_a_pull(ws, tmp_path):
    released.git(tmp_path, "init", "-q", "--bare", "-b", "main", "upstream.git")
    remote.set_up(ws.root, str(tmp_path / "store"))
    text = (ws.root / "params.yaml").read_text()
    (ws.root / "params.yaml").write_text(
        f"{text}  release: {{default: {{mode: auto, push: true}}}}\n"
    )
    released.cll(ws.root, "compose")
    released.commit(ws.root)
    released.git(ws.root, "remote", "add", "origin", str(tmp_path / "upstream.git"))
    released.git(ws.root, "push", "-q", "--set-upstream", "origin", "main")
    said = ticked(ws, turning.SECOND)
    assert said.out.splitlines()[-1].endswith(" is in origin/main.")
    assert said.out.splitlines()[-2].endswith(f" is in {tmp_path / 'store'}.")

    released.git(tmp_path, "clone", "-q", str(tmp_path / "upstream.git"), "second")
    second = type(ws)(tmp_path / "second")
    shutil.move(ws.root / "telemetry", second.root / "telemetry")  # a source that both can read
    shutil.rmtree(ws.root)
    turning.dvc(second.root, "pull")
    turning.arrive(second, "2026-01-06")
    champion = ledger.read(second.root).champion
    ticked(second, turning.THIRD)
    assert f'champion: "{champion}"' in world(second)
    assert log(second)[0] == f"Move as_of to {turning.THIRD}: not trained"
    assert released.git(tmp_path / "upstream.git", "log", "-1", "--format=%s") == log(second)[0]
    assert disk.read_json(second.candidate / "model.json")["created"] == turning.SECOND
    assert released.cll(second.root, "registry", "verify").code == 0


def test_what_could_not_be_pushed_is_pushed_by_the_next_tick(plain, tmp_path):
    remote.set_up(plain.root, str(tmp_path / "store"))
    released.commit(plain.root)
    (tmp_path / "store").rename(tmp_path / "away")
    (tmp_path / "store").write_text("no folder")
    turning.arrive(plain, "2026-01-05")
    said = ticked(plain, turning.SECOND, "--mode", "auto", code=6)
    assert " is committed here but not pushed: `dvc push" in said.err
    assert said.err.endswith("The next tick tries again.\n")
    assert log(plain)[0] == f"Move as_of to {turning.SECOND}: not trained"
    (tmp_path / "store").unlink()
    (tmp_path / "away").rename(tmp_path / "store")
    said = ticked(plain, turning.SECOND, "--mode", "auto")
    assert said.out.splitlines()[-2:] == [
        "Nothing but as_of is new, so there is no commit.",
        f"Commit {git.head(plain.root)[:12]} is in {tmp_path / 'store'}.",
    ]


def killed(ws, stage, mode):
    """Kill a tick, and nothing but it, while a stage is at work."""
    words = ("tick", "--as-of", turning.SECOND, "--mode", mode)
    ticking = turning.start(ws.root, *words)
    ours = f"cll stage {stage}"
    turning.until(
        lambda: any(ours in one for one in turning.children(ws.root).values()), "never at it"
    )
    turning.killed(ticking, ws.root)


@pytest.mark.parametrize("stage", ["ingest", "gate"])
def test_killed_before_or_after_it_trained_the_next_tick_ends_as_if_nothing_had_been(ws, stage):
    turning.arrive(ws, "2026-01-05")
    killed(ws, stage, "auto")
    ticked(ws, turning.SECOND, "--mode", "auto")
    assert log(ws)[0] == f"Release v1.1.0: model {ledger.read(ws.root).champion}"
    assert released.git(ws.root, "status", "--porcelain") == ""
    assert not outcome.training(ws.root).exists()
    assert "cll stage" not in str(turning.children(ws.root))
    said = released.cll(ws.root, "diff", "HEAD~1", "--fail-on", "stale")
    assert said.code == 0, said.err


def test_killed_on_a_branch_of_its_own_the_next_tick_puts_the_tree_back_first(ws):
    turning.dvc(ws.root, "checkout")
    outcome.training(ws.root).touch()
    killed(ws, "report", "branch")
    assert released.git(ws.root, "status", "--porcelain") != ""
    before = released.git(ws.root, "rev-parse", "HEAD")
    turning.arrive(ws, "2026-01-05")
    said = ticked(ws, turning.THIRD, "--mode", "branch")
    assert said.out.splitlines()[-1].startswith("Committed on tick: ")
    assert log(ws, "tick")[0] == f"Move as_of to {turning.THIRD}: not trained"
    assert released.git(ws.root, "rev-parse", "HEAD", "tick~1").split() == [before, before]
    assert released.git(ws.root, "status", "--porcelain") == ""
    assert disk.read_json(ws.candidate / "model.json")["created"] == turning.FIRST
