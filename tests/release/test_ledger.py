import os
import shutil
import stat
from dataclasses import replace

import pytest

from cll.model import ledger_entries
from cll.release import ledger
from tests.build import released

REAL_GIT = shutil.which("git")
COUNTED = f"""#!/bin/sh
echo "$@" >> "$GIT_COUNT"
exec {REAL_GIT} "$@"
"""


@pytest.fixture
def git_calls(tmp_path, monkeypatch):
    """Count the git processes that a command starts."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shim = folder / "git"
    shim.write_text(COUNTED)
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    count = tmp_path / "count"

    def calls(root, *words, code=0):
        count.write_text("")
        monkeypatch.setenv("GIT_COUNT", str(count))
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        done = released.cll(root, *words)
        assert done.code == code, done.err
        return len(count.read_text().splitlines())

    return calls


def with_rollbacks(ws, count):
    """Commit as many rollbacks to the release that is in force, one commit each."""
    for _ in range(count):
        entries = ledger.read(ws.root).entries
        entry = replace(
            entries[-1],
            kind="rollback",
            before=ledger_entries.tip(entries),
            champion_before=entries[-1].model_id,
            revision=released.git(ws.root, "rev-parse", "HEAD"),
        )
        ledger.append(ws.root, ledger.Ledger(entries), entry)
        released.commit(ws.root)
    return ws


@pytest.mark.parametrize(
    "words",
    [
        ("registry", "verify"),
        ("registry", "list"),
        ("status",),
        ("rollback", "v1.0.0", "--why", "x"),
    ],
)
@pytest.mark.slow
def test_the_number_of_git_processes_does_not_grow_with_the_releases(
    tmp_path_factory, tmp_path, git_calls, words
):
    few = with_rollbacks(released.copied(released.once(tmp_path_factory), tmp_path / "few"), 2)
    many = with_rollbacks(released.copied(few, tmp_path / "many"), 27)
    assert len(ledger.read(many.root).committed) == 30
    assert git_calls(few.root, *words) == git_calls(many.root, *words)


@pytest.mark.slow
def test_a_release_starts_as_many_git_processes_after_30_as_after_3(
    tmp_path_factory, tmp_path, git_calls
):
    few = with_rollbacks(released.copied(released.once(tmp_path_factory), tmp_path / "few"), 2)
    many = with_rollbacks(released.copied(few, tmp_path / "many"), 27)
    for ws in (few, many):
        released.another(ws)
    words = ("release", "--why", "for less regularization")
    assert git_calls(few.root, *words) == git_calls(many.root, *words)


def test_an_entry_that_is_not_committed_is_pending_and_does_not_count(tmp_path_factory, tmp_path):
    ws = released.copied(released.once(tmp_path_factory), tmp_path / "project")
    before = ledger.read(ws.root)
    entry = replace(
        before.entries[-1],
        kind="rollback",
        before=ledger_entries.tip(before.entries),
        champion_before=before.champion,
    )
    appended = ledger.append(ws.root, before, entry)
    assert appended == ledger.read(ws.root)
    assert appended.pending == (entry,)
    assert appended.committed == before.entries
    assert appended.champion == before.champion


def test_without_git_every_entry_counts(tmp_path_factory, tmp_path):
    ws = released.copied(released.once(tmp_path_factory), tmp_path / "project")
    shutil.rmtree(ws.root / ".git")
    there = ledger.read(ws.root)
    assert there.committed == there.entries
    assert there.pending == ()
