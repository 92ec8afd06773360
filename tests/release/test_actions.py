import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from cll.model import ledger_entries
from cll.release import actions, audit, ledger, models
from cll.system import disk, locks
from cll.types.errors import CllError
from cll.vcs import commands, git, staleness
from tests.build import released

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path_factory, tmp_path):
    """A project before its first release."""
    return released.copied(released.candidate(tmp_path_factory), tmp_path / "project")


@pytest.fixture
def once(tmp_path_factory, tmp_path):
    return released.copied(released.once(tmp_path_factory), tmp_path / "project")


@pytest.fixture
def twice(tmp_path_factory, tmp_path):
    return released.copied(released.twice(tmp_path_factory), tmp_path / "project")


def refused(ws, *words, code):
    """Run a command that is refused in one line, and changes nothing that git sees."""
    before = released.git(ws.root, "rev-parse", "HEAD")
    said = released.cll(ws.root, *words)
    assert said.code == code, said
    assert said.err.count("\n") == 1
    assert released.git(ws.root, "rev-parse", "HEAD") == before
    return said.err


def entries(ws):
    return ledger.read(ws.root).entries


def test_without_a_ledger_none_is_begun_unasked(project):
    says = refused(project, "release", code=2)
    assert "run `cll release --bootstrap`" in says
    assert not (project.root / ledger_entries.PATH).exists()


def test_the_first_release_is_a_commit_with_the_model_and_its_reason(once):
    (entry,) = entries(once)
    assert (entry.kind, entry.version, entry.champion_before) == ("release", "v1.0.0", "none")
    assert entry.why == "to begin with"
    assert entry.verdict.sha256 == disk.sha256(once.reports / "verdict.json")
    assert entry.revision == released.git(once.root, "rev-parse", "HEAD~1")
    assert released.git(once.root, "status", "--porcelain") == ""
    message = released.git(once.root, "log", "-1", "--format=%B")
    assert message.startswith(f"Release v1.0.0: model {entry.model_id}\n\nWhy: to begin with\n")
    assert "- roc_auc is " in message
    assert (once.root / "registry" / "models" / f"{entry.model_id}.dvc").is_file()
    assert not (once.root / "registry" / "models" / ".gitignore").exists()


def test_dvc_itself_finds_a_released_model_and_the_verdict_does_not_hang_on_it(once):
    folder = models.folder(once.root, entries(once)[0].model_id)
    (folder / "MODEL_CARD.md").write_text("another")
    note = f"{folder.relative_to(once.root)}.dvc"
    assert note in commands.dvc(once.root, "status", "--json")
    assert staleness.stale(once) is None


def test_a_release_does_not_count_before_the_next_tick(once):
    assert "champion: none" in (once.root / "world.yaml").read_text()
    assert ledger.read(once.root).champion == entries(once)[0].model_id


def test_what_is_in_force_already_is_not_released_again(once):
    said = released.cll(once.root, "release")
    assert said.code == 0
    assert "v1.0.0" in said.out
    assert "is the champion already; nothing to release." in said.out
    assert len(entries(once)) == 1


def test_a_second_bootstrap_is_refused(once):
    assert "omit the option" in refused(once, "release", "--bootstrap", code=2)


def test_a_ledger_that_git_had_is_not_begun_anew(once):
    (once.root / ledger_entries.PATH).unlink()
    for words in (["release"], ["release", "--bootstrap"], ["registry", "list"]):
        says = refused(once, *words, code=4)
        assert "missing, and git's history has it; restore it" in says
    released.commit(once.root)
    assert "missing, and git's history has it" in refused(once, "release", "--bootstrap", code=4)
    with pytest.raises(CllError, match="missing, and git's history"):
        ledger.read(once.root)


def test_a_ledger_on_another_branch_is_not_begun_anew(once):
    released.git(once.root, "checkout", "-q", "-b", "older", "HEAD~1")
    assert "switch to the branch that has it" in refused(once, "release", "--bootstrap", code=4)


def test_the_second_release_names_what_it_replaces(twice):
    first, second = entries(twice)
    assert (second.version, second.champion_before) == ("v1.1.0", first.model_id)
    message = released.git(twice.root, "log", "-1", "--format=%B")
    assert f"It replaces v1.0.0 ({first.model_id}), from the next tick on." in message
    assert "gain in average_precision over the champion" in message


@pytest.mark.parametrize(("answer", "code"), [("reject", 10), ("not enough evidence", 11)])
def test_what_the_gate_does_not_promote_is_not_released(project, monkeypatch, answer, code):
    path = project.reports / "verdict.json"
    told = disk.read_json(path)
    told["rules"][0]["outcome"] = {"reject": "failed"}.get(answer, answer)
    disk.write_json(path, told | {"answer": answer})
    monkeypatch.setattr(actions.stages, "judge", lambda *_: disk.read_json(path))
    says = refused(project, "release", "--bootstrap", code=code)
    assert told["rules"][0]["says"] in says


def test_a_verdict_that_was_altered_is_not_believed(project):
    path = project.reports / "verdict.json"
    told = disk.read_json(path)
    told["rules"] = told["rules"][1:]
    disk.write_json(path, told)
    assert "not the gate's verdict on metrics.json" in refused(
        project, "release", "--bootstrap", code=4
    )


def test_a_verdict_that_is_stale_is_not_believed(project):
    (project.root / "a").write_text("1")
    stage = "stages:\n  one: {cmd: cp a b, deps: [a], outs: [b]}\n"
    (project.root / "dvc.yaml").write_text(stage)
    released.commit(project.root)
    assert "run `dvc repro`" in refused(project, "release", "--bootstrap", code=2)


def test_a_candidate_that_is_not_the_verdicts_is_not_released(twice):
    shutil.rmtree(twice.candidate)
    shutil.copytree(models.folder(twice.root, entries(twice)[0].model_id), twice.candidate)
    assert "is not the model of reports/verdict.json" in refused(twice, "release", code=2)


def test_a_candidate_with_a_swapped_file_is_not_released(project):
    with (project.candidate / "MODEL_CARD.md").open("a") as card:
        card.write("trust me\n")
    assert "MODEL_CARD.md: sha256 is" in refused(project, "release", "--bootstrap", code=4)


def test_a_verdict_against_another_champion_than_the_one_in_force_is_refused(once):
    pipeline = once.root / "dvc.yaml"
    shutil.copy(released.small.ROOT / "dvc.yaml", pipeline)
    released.small.reproduce(once, released.SECOND)  # world.yaml names no champion yet
    pipeline.unlink()
    released.commit(once.root)
    says = refused(once, "release", code=2)
    assert "The verdict compares with none, and the champion is" in says


@pytest.mark.parametrize("name", ["params.yaml", "new.py", "conf/source/classic.yaml"])
def test_a_tree_that_is_not_clean_is_refused_by_the_name_of_the_file(project, name):
    with (project.root / name).open("a") as file:
        file.write("# changed\n")
    assert f"{name}: not committed, and no part of a release" in refused(
        project, "release", "--bootstrap", code=2
    )


def test_what_a_tick_makes_goes_into_the_commit(project):
    report = project.reports / "report.md"
    report.write_text(report.read_text() + "\nmore\n")
    assert released.cll(project.root, "release", "--bootstrap").code == 0
    assert "reports/report.md" in released.git(project.root, "show", "--stat", "--format=")


def test_without_git_nothing_is_released(project):
    shutil.rmtree(project.root / ".git")
    assert "No git repository with a commit is here" in refused_without_git(project)


def refused_without_git(ws):
    said = released.cll(ws.root, "release", "--bootstrap")
    assert said.code == 2
    return said.err


def test_on_no_branch_nothing_is_released(project):
    released.git(project.root, "checkout", "-q", "--detach")
    assert "HEAD is on no branch" in refused(project, "release", "--bootstrap", code=2)


def test_while_a_merge_is_under_way_nothing_is_released(project):
    head = released.git(project.root, "rev-parse", "HEAD")
    (project.root / ".git" / "MERGE_HEAD").write_text(head + "\n")
    says = refused(project, "release", "--bootstrap", code=2)
    assert "A merge is in progress; end it (`git merge --continue`) first." in says


def test_while_another_changes_the_project_nothing_is_released(project):
    code = (
        "import sys\nfrom pathlib import Path\nfrom cll.system import locks\n"
        "with locks.only_one(Path()):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(released.small.ROOT)},
    )
    with holder:
        holder.stdout.readline()
        assert "Another `cll` is changing" in refused(project, "release", "--bootstrap", code=5)
        holder.stdin.close()


def test_an_unknown_bump_is_refused(project):
    assert "--bump=huge: write major, minor, patch." in refused(
        project, "release", "--bump", "huge", code=2
    )


def test_a_shallow_clone_neither_releases_nor_proves(twice, tmp_path):
    source = f"file://{twice.root}"
    released.git(tmp_path, "clone", "-q", "--depth", "1", source, "shallow")
    ws = type(twice)(tmp_path / "shallow")
    for words in (
        ["release"],
        ["release", "--bootstrap"],
        ["rollback", "--why", "no"],
        ["registry", "verify"],
    ):
        assert "run `git fetch --unshallow`" in refused(ws, *words, code=6)
    assert ledger.read(ws.root).champion == ledger.read(twice.root).champion


def test_a_shallow_clone_without_a_ledger_is_no_project_without_one(project, tmp_path):
    released.commit_empty(project.root)
    released.git(tmp_path, "clone", "-q", "--depth", "1", f"file://{project.root}", "shallow")
    with pytest.raises(CllError, match="This clone is shallow"):
        ledger.read(tmp_path / "shallow")


# A rollback.


def test_a_rollback_puts_the_version_before_in_force_and_says_why(twice):
    said = released.cll(twice.root, "rollback", "--why", "too many\nfalse alarms")
    assert said.code == 0, said.err
    last = entries(twice)[-1]
    assert (last.kind, last.version, last.why) == ("rollback", "v1.0.0", "too many false alarms")
    assert last.verdict == entries(twice)[0].verdict
    assert ledger.read(twice.root).champion == entries(twice)[0].model_id
    message = released.git(twice.root, "log", "-1", "--format=%B")
    assert message.startswith("Roll back to v1.0.0: model ")
    assert "It replaces v1.1.0 (" in message
    assert "no version was released before it" in refused(twice, "rollback", "--why", "no", code=2)
    assert released.cll(twice.root, "rollback", "v1.1.0", "--why", "it was not it").code == 0
    assert [e.version for e in entries(twice)] == ["v1.0.0", "v1.1.0", "v1.0.0", "v1.1.0"]
    assert len(list(audit.verify(twice.root))) == 6


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["v7.0.0", "--why", "no"], "v7.0.0: never released; released are: v1.0.0, v1.1.0."),
        (["v1.0.0", "--why", "  "], "--why: write a sentence"),
    ],
)
def test_a_rollback_to_nothing_or_for_nothing_is_refused(twice, words, says):
    assert says in refused(twice, "rollback", *words, code=2)


def test_a_rollback_to_what_is_in_force_does_nothing(twice):
    said = released.cll(twice.root, "rollback", "v1.1.0", "--why", "again")
    assert (said.code, len(entries(twice))) == (0, 2)
    assert "is the champion already" in said.out


def test_a_rollback_takes_the_model_from_dvcs_cache(twice):
    folder = models.folder(twice.root, entries(twice)[0].model_id)
    shutil.rmtree(folder)
    assert released.cll(twice.root, "rollback", "--why", "no").code == 0
    assert folder.is_dir()


def test_a_rollback_to_a_model_that_is_not_here_says_how_to_get_it(twice):
    shutil.rmtree(models.folder(twice.root, entries(twice)[0].model_id))
    shutil.rmtree(twice.root / ".dvc" / "cache")
    says = refused(twice, "rollback", "--why", "no", code=6)
    assert f"`dvc pull registry/models/{entries(twice)[0].model_id}.dvc`" in says


def test_a_rollback_to_a_forged_model_is_refused(twice):
    first, second = entries(twice)
    forged = models.folder(twice.root, first.model_id)
    shutil.rmtree(forged)
    shutil.copytree(models.folder(twice.root, second.model_id), forged)
    says = refused(twice, "rollback", "--why", "no", code=4)
    assert f"{first.model_id}: not the files that v1.0.0 was released with" in says


# A process that is stopped.


def test_a_process_killed_before_its_commit_leaves_an_entry_that_the_next_one_commits(project):
    hook = project.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nkill -9 $(ps -o ppid= -p $PPID)\nexit 1\n")
    hook.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "cll", "release", "--bootstrap"],
        cwd=project.root,
        env={**os.environ, **released.WHO, "PYTHONPATH": str(released.small.ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -9
    hook.unlink()
    (entry,) = ledger.read(project.root).pending
    assert ledger.read(project.root).champion == "none"
    said = released.cll(project.root, "registry", "verify")
    assert said.code == 2
    assert "is not committed yet; `cll release` commits it." in said.err
    said = released.cll(project.root, "release", "--bootstrap")
    assert said.code == 0, said.err
    assert "committed now; an earlier command was interrupted before its commit." in said.out
    assert entries(project) == (entry,)
    assert len(list(audit.verify(project.root))) == 3


class Stopped(BaseException):
    """What no one catches: as if the process had ended there."""


def stopped(*_):
    raise Stopped


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (models, "place"),
        pytest.param(ledger, "append", marks=pytest.mark.slow),
        pytest.param(actions.smoke_test, "check", marks=pytest.mark.slow),
        pytest.param(models, "track", marks=pytest.mark.slow),
    ],
)
def test_what_was_stopped_earlier_leaves_nothing_in_force_and_is_done_again(
    project, monkeypatch, module, name
):
    with monkeypatch.context() as context:
        context.setattr(module, name, stopped)
        with pytest.raises(Stopped):
            released.cll(project.root, "release", "--bootstrap")
    assert entries(project) == ()
    for folder in (project.root / "registry" / "models").glob("*/"):
        (folder / "model.json").write_text("half")
    assert released.cll(project.root, "release", "--bootstrap").code == 0
    assert len(list(audit.verify(project.root))) == 3


def test_a_rollback_that_was_stopped_goes_back_once(twice, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(git, "commit", stopped)
        with pytest.raises(Stopped):
            released.cll(twice.root, "rollback", "--why", "no")
    said = released.cll(twice.root, "rollback", "--why", "no")
    assert said.code == 0, said.err
    assert [e.version for e in entries(twice)] == ["v1.0.0", "v1.1.0", "v1.0.0"]


def test_what_was_left_behind_is_committed_before_something_else_is_done(twice, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(git, "commit", stopped)
        with pytest.raises(Stopped):
            released.cll(twice.root, "rollback", "--why", "no")
    said = released.cll(twice.root, "release")
    assert said.code == 2
    assert "is v1.1.0 already; make it the champion again by `cll rollback v1.1.0" in said.err
    assert ledger.read(twice.root).pending == ()
    assert ledger.read(twice.root).committed[-1].kind == "rollback"


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory):
    """A project whose first release was stopped before its commit; nothing may change it."""
    folder = tmp_path_factory.mktemp("broken_off") / "project"
    ws = released.copied(released.candidate(tmp_path_factory), folder)
    with pytest.MonkeyPatch.context() as context:
        context.setattr(git, "commit", stopped)
        with pytest.raises(Stopped):
            released.cll(ws.root, "release", "--bootstrap")
    return ws


@pytest.fixture
def left_behind(broken_off, tmp_path):
    return released.copied(broken_off, tmp_path / "project")


def test_an_entry_left_behind_is_not_committed_on_another_verdict(left_behind):
    path = left_behind.reports / "verdict.json"
    path.write_text(path.read_text() + " ")
    says = refused(left_behind, "release", code=4)
    assert "is not based on reports/verdict.json; undo it: `rm registry/ledger.jsonl`." in says


def test_an_entry_of_what_the_gate_rejects_is_not_committed(left_behind, monkeypatch):
    project = left_behind
    (entry,) = ledger.read(project.root).pending
    path = project.reports / "verdict.json"
    disk.write_json(path, disk.read_json(path) | {"answer": "reject"})
    judged = ledger_entries.VerdictRecord("promote", disk.sha256(path))
    line = ledger_entries.line(replace(entry, verdict=judged))
    (project.root / ledger_entries.PATH).write_text(line + "\n")
    assert "not the gate's verdict on metrics.json" in refused(project, "release", code=4)
    monkeypatch.setattr(actions.stages, "judge", lambda *_: disk.read_json(path))
    assert "rejected by the gate" in refused(project, "release", code=10)


def test_a_model_that_was_laid_down_before_is_taken_as_it_is(project, monkeypatch):
    with monkeypatch.context() as context:
        context.setattr(models, "track", stopped)
        with pytest.raises(Stopped):
            released.cll(project.root, "release", "--bootstrap")
    (folder,) = (project.root / models.MODELS).glob("*/")
    before = folder.stat().st_ino
    assert released.cll(project.root, "release", "--bootstrap").code == 0
    assert folder.stat().st_ino == before


def test_without_an_author_nothing_is_released(project, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("EMAIL", "")
    released.git(project.root, "config", "user.useConfigOnly", "true")
    said = released.small.cll(project.root, "release", "--bootstrap")
    assert said.code == 2
    assert "git has no author name; set `git config user.name`" in said.err


def test_an_entry_that_someone_else_appended_is_not_committed(twice):
    last = entries(twice)[-1]
    path = twice.root / ledger_entries.PATH
    told = json.loads(ledger_entries.line(last))
    told |= {"version": "v2.0.0", "before": ledger_entries.tip(entries(twice))}
    told["champion_before"] = last.model_id
    line = json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    path.write_text(path.read_text() + line + "\n")
    says = refused(twice, "release", code=4)
    assert "v2.0.0" in says
    assert "was not appended by `cll` here; undo it: `git checkout HEAD --" in says
    assert ledger.read(twice.root).champion == last.model_id


def test_the_guard_is_free_again_after_a_refusal(project):
    refused(project, "release", code=2)
    with locks.only_one(project.root):
        pass
