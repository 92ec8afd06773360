import os
import shutil
import time

import pytest

from cll.maintenance import garbage
from cll.system import disk
from cll.system.workspace import Workspace
from tests.conftest import Project

DAY = 86400


@pytest.fixture
def root(tmp_path):
    """A project's data, as far as garbage looks at it; without git and DVC."""
    root = tmp_path / "project"
    manifest = {"facts": {"pieces": {"aaaa": {}}}, "files": {}, "key": {"inputs": "now"}}
    disk.write_json(root / "data" / "signals" / "manifest.json", manifest)
    disk.write_json(root / "data" / "features" / "manifest.json", {**manifest, "key": {}})
    return root


def put(path, size=1000, days=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    for one in (path, path.parent):
        os.utime(one, (time.time() - days * DAY,) * 2)
    return path


def collect(root, capsys, *, yes=False, answer=False, keep_days=30):
    garbage.collect(root, yes=yes, keep_days=keep_days, ask=lambda _: answer)
    return capsys.readouterr().out.splitlines()


def test_without_an_answer_nothing_goes(root, capsys):
    piece = put(root / ".cll" / "segments" / "bbbb" / "rows.parquet")
    said = collect(root, capsys)
    assert said == [
        ".cll/segments: 1 of 1.0 kB: pieces of files that data/signals is not made of.",
        "Nothing was freed; `cll gc --yes` frees these 1.0 kB.",
    ]
    assert piece.exists()


def test_where_signals_tell_no_pieces_none_goes(root, capsys):
    piece = put(root / ".cll" / "segments" / "bbbb" / "rows.parquet")
    shutil.rmtree(root / "data" / "signals")
    assert collect(root, capsys, yes=True) == ["Nothing to free."]
    assert piece.exists()


def test_pieces_in_use_stay_and_the_others_go(root, capsys):
    used = put(root / ".cll" / "segments" / "aaaa" / "rows.parquet")
    other = put(root / ".cll" / "segments" / "bbbb" / "rows.parquet")
    assert collect(root, capsys, answer=True)[-1] == "1.0 kB freed."
    assert used.exists()
    assert not other.parent.exists()


def test_kept_data_stay_where_they_are_the_projects_own(root, capsys):
    kept = root / ".cll" / "store"
    own = kept / "ingest-0123456789abcdef"
    shutil.copytree(root / "data" / "signals", own)
    shutil.copytree(root / "data" / "features", kept / "featurize-0123456789abcdef")
    disk.write_json(kept / "ingest-00" / "manifest.json", {"key": {"inputs": "then"}})
    put(kept / "featurize-00" / "part-0.parquet")  # without a manifest nothing believes it
    said = collect(root, capsys, yes=True)
    assert said[0].startswith(
        ".cll/store: 2 of 1.0 kB: other signals and features than the project's own."
    )
    names = sorted(path.name for path in kept.iterdir())
    assert names == ["featurize-0123456789abcdef", "ingest-0123456789abcdef"]


def test_what_training_kept_goes_when_it_was_not_used_for_long(root, capsys):
    kept = root / ".cll" / "store"
    old = put(kept / "train-00" / "made", days=31)
    hour = put(kept / "train-01" / "made", days=0.1)
    fresh = put(kept / "train-02" / "made")
    said = collect(root, capsys, yes=True)
    assert said[0] == ".cll/store: 1 of 1.0 kB: entries that no training used for 30 days."
    assert not old.parent.exists()
    collect(root, capsys, yes=True, keep_days=0)
    assert not hour.parent.exists()
    assert fresh.exists()  # it may be in the making


def test_what_a_stopped_process_left_goes_after_an_hour(root, capsys):
    old = [
        put(root / ".cll" / "store" / ".making-abc" / "part-0.parquet", days=1).parent,
        put(root / "data" / ".staging-17" / "part-0.parquet", days=1).parent,
        put(root / "data" / "signals" / "date=2026-01-01" / ".part-0.parquet.q7.tmp", days=1),
    ]
    fresh = put(root / ".cll" / "store" / ".making-def" / "part-0.parquet")
    said = collect(root, capsys, yes=True)
    assert said[0] == "left over: 3 of 3.0 kB: files that a stopped process did not finish."
    assert not any(path.exists() for path in old)
    assert fresh.exists()


def test_runs_go_by_age(root, capsys):
    old = put(root / "outputs" / "2026-01-01" / "10-00-00" / "metrics.json", days=31)
    swept = put(root / "multirun" / "2026-01-01" / "10-00-00" / "0" / "metrics.json", days=31)
    new = put(root / "outputs" / "2026-02-20" / "10-00-00" / "metrics.json", days=3)
    os.utime(swept.parents[1], (0, 0))
    assert collect(root, capsys, yes=True, keep_days=32) == ["Nothing to free."]
    said = collect(root, capsys, yes=True)
    assert said[0] == "outputs, multirun: 2 of 2.0 kB: runs of more than 30 days ago."
    assert not old.parents[1].exists()
    assert not swept.parents[2].exists()
    assert new.exists()


def test_released_models_and_the_ledger_are_left_alone(root, capsys):
    kept = put(root / "registry" / "models" / "0123456789abcdef" / "model.json", days=400)
    ledger = put(root / "registry" / "ledger.jsonl", days=400)
    assert collect(root, capsys, yes=True, keep_days=0) == ["Nothing to free."]
    assert kept.exists()
    assert ledger.exists()


def test_what_another_name_holds_is_not_counted(root, capsys):
    store_file = put(root / ".cll" / "store" / "ingest-00" / "part-0.parquet")
    linked = root / "data" / "signals" / "part-0.parquet"
    linked.hardlink_to(store_file)
    assert collect(root, capsys, yes=True)[0].startswith(".cll/store: 1 of 0 B: ")
    assert linked.read_bytes() == b"x" * 1000


MAKE = """\
import pathlib, sys
text = pathlib.Path("world.txt").read_text()
for day in range(3):
    part = pathlib.Path("data/signals") / f"date={day}"
    part.mkdir(parents=True, exist_ok=True)
    (part / "part-0").write_text(text * 1000 if day == 2 else f"day {day}")
"""
STAGES = """\
stages:
  make:
    cmd: python make.py
    deps: [make.py, world.txt]
    outs:
      - data/signals: {persist: true}
"""


@pytest.fixture
def versions(tmp_path):
    """A repository with two commits, a branch, a tag beside them, and a version that has none."""
    project = Project(tmp_path / "project")
    project.folder.mkdir()
    project.run("git", "init", "-q", "-b", "main")
    project.run("dvc", "init", "-q")
    project.write("make.py", MAKE)
    project.write("dvc.yaml", STAGES)
    project.write(".gitignore", "/data\n/registry\n")
    put(project.folder / "registry" / "models" / "0123456789abcdef" / "model.json")
    for name in ("first", "second"):
        reproduce(project, name)
        project.commit()
    project.run("git", "checkout", "-q", "-b", "side", "HEAD~1")
    reproduce(project, "side")
    project.commit()
    project.run("git", "checkout", "-q", "--detach", "main")
    reproduce(project, "tagged")
    project.commit()
    project.run("git", "tag", "tagged")
    project.run("git", "checkout", "-q", "main")
    reproduce(project, "never committed")
    reproduce(project, "now in the workspace")
    return project


def reproduce(project, text):
    project.write("world.txt", text)
    project.run("dvc", "repro", "-q")


@pytest.mark.slow
def test_every_commit_in_reach_can_still_be_checked_out(versions, capsys):
    root = versions.folder
    before = sum(1 for path in (root / ".dvc" / "cache").rglob("*") if path.is_file())
    said = collect(root, capsys)
    assert said[0].startswith("DVC's cache: 2 of 15.2 kB: in no commit of a branch, ")
    assert sum(1 for path in (root / ".dvc" / "cache").rglob("*") if path.is_file()) == before
    assert collect(root, capsys, yes=True)[-1] == "15.2 kB freed."
    assert sum(1 for path in (root / ".dvc" / "cache").rglob("*") if path.is_file()) == before - 2
    shutil.rmtree(root / "data")
    versions.run("dvc", "checkout", "-q")
    assert versions.read("data/signals/date=2/part-0").startswith("now in the workspace")
    for revision, text in (("main~1", "first"), ("main", "second"), ("side", "side")):
        versions.run("git", "checkout", "-qf", revision)
        versions.run("dvc", "checkout", "-q", "-f")
        assert versions.read("data/signals/date=2/part-0") == text * 1000
    versions.run("git", "checkout", "-qf", "tagged")
    versions.run("dvc", "checkout", "-q", "-f")
    assert versions.read("data/signals/date=2/part-0") == "tagged" * 1000
    assert (root / "registry" / "models" / "0123456789abcdef" / "model.json").exists()
    assert collect(root, capsys, yes=True)[-1] != "Nothing to free."  # the workspace moved on
    assert Workspace(root).signals.is_dir()


@pytest.mark.slow
def test_a_stash_or_a_cache_that_others_may_use_is_left_alone(versions, capsys, tmp_path):
    versions.run("git", "stash", "-q")
    garbage.collect(versions.folder, yes=True, ask=lambda _: False)
    said = capsys.readouterr()
    assert said.out == "Nothing to free.\n"
    assert said.err.startswith("DVC's cache: left as it is: git stash holds 1, which DVC does not")
    versions.run("git", "stash", "drop", "-q")
    shared = tmp_path / "shared"
    shared.mkdir()
    versions.run("dvc", "config", "--local", "cache.dir", str(shared))
    garbage.collect(versions.folder, yes=True, ask=lambda _: False)
    assert f"left as it is: {shared} is outside the project" in capsys.readouterr().err


@pytest.mark.slow
def test_a_commit_that_dvc_can_not_read_keeps_all_that_is_in_the_cache(versions, capsys):
    versions.write("dvc.yaml", "stages: [")
    versions.commit()
    versions.write("dvc.yaml", STAGES)
    versions.commit()
    garbage.collect(versions.folder, yes=True, ask=lambda _: False)
    said = capsys.readouterr()
    assert said.out == "Nothing to free.\n"
    assert (
        "left as it is: `dvc gc -w -A --all-experiments --dry` failed: Failed to coll" in said.err
    )
