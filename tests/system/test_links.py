import os
import re
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cll.pipeline import stages
from cll.release import models
from cll.system import disk, links, locks, partitions
from cll.system.stat_cache import StatCache
from cll.types.errors import SecurityRefusal
from cll.vcs import git
from tests.build import small
from tests.conftest import ROOT, clone

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
FOLDERS = (*links.SHARED, *links.STRICT, *links.CACHED)
INSIDE = (
    *(f"{folder}/link" for folder in links.STRICT),
    "data/signals/date=2026-01-01",
    "data/features/date=2026-01-01",
    "registry/models/0123456789abcdef",
    ".cll/lock",
)
COMMANDS = (
    ("compose",),
    ("run", *small.CLASSIC),
    ("run", "-m", *small.CLASSIC),
    ("replay", *small.CLASSIC),
    ("tick",),
    ("loop",),
    ("status",),
    ("ingest",),
    ("adopt", "outputs/one"),
    ("release",),
    ("gc", "--yes"),
    ("predict", "data/raw", "--out", "a.csv"),
)


def outputs(stage):
    made = [one for key in ("outs", "metrics") for one in PIPELINE[stage].get(key, ())]
    return {name for one in made for name in (one if isinstance(one, dict) else [one])}


def contents(folder):
    """Return all below a folder except a stage's note on why it refused, following no link."""
    found = {}
    for top, names, files in os.walk(folder):
        kept = (name for name in (*names, *files) if name != "refusal.json")
        for path in (Path(top, name) for name in kept):
            is_file = path.is_file() and not path.is_symlink()
            found[str(path.relative_to(folder))] = path.read_bytes() if is_file else None
    return found


@pytest.fixture
def foreign(tmp_path):
    """A folder of someone else, with names that stages and commands know."""
    folder = tmp_path / "foreign"
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "theirs.parquet").write_text("theirs")
        (folder / Path(name).name).mkdir(exist_ok=True)
        (folder / Path(name).name / "theirs.parquet").write_text("theirs")
    (folder / "theirs.txt").write_text("theirs")
    return folder


def linked(root, name, target):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).symlink_to(target)


def refused(name):
    return f"^{re.escape(name)}: is a link to .*; remove the link. To use another disk, mount it "


@pytest.mark.parametrize("name", [*FOLDERS, *INSIDE])
def test_each_stage_refuses_a_link_before_it_writes(tmp_path, foreign, name, capsys):
    root = small.project(tmp_path / "project").root
    linked(root, name, foreign)
    if not name.startswith("reports"):
        (root / "reports").mkdir()
    before = contents(foreign), contents(root)
    for stage in PIPELINE:
        with chdir(root):
            assert stages.main(stage) == 4
        assert re.match(refused(f"cll: {name}"), capsys.readouterr().err)
        assert (contents(foreign), contents(root)) == before


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("name", ["data", ".cll", "outputs", "registry/models/0a", "metrics.json"])
def test_each_command_refuses_a_link_before_it_writes(tmp_path, foreign, name, words):
    root = small.project(tmp_path / "project").root
    linked(root, name, foreign)
    before = contents(foreign), contents(root)
    said = small.cll(root, *words)
    assert said.code == 4
    assert re.match(refused(f"cll: {name}"), said.err)
    assert (contents(foreign), contents(root)) == before


@pytest.mark.parametrize("name", links.OWNED)
def test_a_link_to_nothing_is_refused_as_well(tmp_path, name):
    linked(tmp_path, name, "nowhere")
    with pytest.raises(SecurityRefusal, match="is a link to nowhere"):
        links.refuse(tmp_path)


def test_help_is_given_whatever_is_linked(tmp_path, foreign):
    linked(tmp_path, "data", foreign)
    assert small.cll(tmp_path, "--help").code == 0


def test_no_lock_is_taken_through_a_link(tmp_path, foreign):
    linked(tmp_path / "project", ".cll", foreign)
    with (
        pytest.raises(SecurityRefusal, match=r"\.cll: is a link"),
        locks.only_one(tmp_path / "project"),
    ):
        pass
    assert not (foreign / "lock").exists()


def test_a_file_is_not_opened_through_a_link_that_came_later(tmp_path):
    linked(tmp_path, ".cll/locks/ingest", tmp_path / "theirs")
    with (
        pytest.raises(SecurityRefusal, match="ingest: is a link"),
        locks.in_turn(tmp_path, "ingest"),
    ):
        pass
    assert not (tmp_path / "theirs").exists()


def test_what_is_only_read_may_lie_behind_a_link(tmp_path, foreign):
    for name in ("data/raw", "telemetry", "conf", "models/downloaded"):
        linked(tmp_path, name, foreign)
    links.refuse(tmp_path)


@pytest.mark.parametrize(
    "name", [*(f"{one}/a.parquet" for one in links.CACHED), "reports/report.html"]
)
def test_a_file_that_dvc_links_to_its_cache_is_no_reason_to_refuse(tmp_path, name):
    (tmp_path / "cached").write_text("")
    linked(tmp_path, name, tmp_path / "cached")
    links.refuse(tmp_path)


def test_every_output_of_dvc_and_all_that_a_tick_commits_is_owned():
    made = set().union(*(outputs(stage) for stage in PIPELINE), git.OWNED)
    inside = {name for name in made if str(Path(name).parent) in links.STRICT}
    assert made <= {*links.OWNED, *inside}


@pytest.mark.parametrize(
    "name", ["multirun/day/time", "multirun/day/time/0", "multirun/day/time/0/models"]
)
def test_a_sweep_refuses_a_link_on_the_way_to_its_jobs(tmp_path, foreign, name):
    root = small.project(tmp_path / "project").root
    linked(root, name, foreign)
    before = contents(foreign)
    said = small.cll(root, "run", "-m", *small.CLASSIC, "hydra.sweep.dir=multirun/day/time")
    assert said.code == 4
    by_hydra = r"cll: hydra\.sweep\.dir=multirun/day/time.*: lies outside of outputs/ and multirun/"
    assert re.match(f"{refused(f'cll: {name}')}|{by_hydra}", said.err)
    assert contents(foreign) == before


def test_a_run_goes_to_a_folder_elsewhere_that_was_named(tmp_path, foreign):
    links.refuse_on_way(tmp_path / "project", foreign)


@pytest.mark.parametrize("name", ["data/signals", "data/signals/date=2026-01-01"])
def test_a_renewal_of_partitions_refuses_a_link(tmp_path, foreign, name):
    linked(tmp_path, name, foreign)
    before = contents(foreign)
    renewal = partitions.Renewal(
        tmp_path / "data" / "signals", {}, StatCache(tmp_path / "memo.json")
    )
    with pytest.raises(SecurityRefusal, match="is a link"), renewal as begun:
        begun.publish({})
    assert contents(foreign) == before


@pytest.mark.parametrize("name", ["registry/models", "registry/models/0a"])
def test_a_model_is_not_released_through_a_link(tmp_path, foreign, name):
    linked(tmp_path, name, foreign)
    before = contents(foreign)
    with pytest.raises(SecurityRefusal, match="is a link"):
        models.place(tmp_path, {"model.txt": b""}, "0a")
    assert contents(foreign) == before


def test_garbage_behind_a_link_is_not_collected(tmp_path, foreign):
    root = small.project(tmp_path / "project").root
    linked(root, "data/raw", foreign)
    for old in (foreign / ".a.tmp", foreign / "data" / ".b.tmp"):
        old.write_text("")
        os.utime(old, (0, 0))
    before = contents(foreign)
    assert small.cll(root, "gc", "--yes").out.endswith("Nothing to free.\n")
    assert contents(foreign) == before


DEEP = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)


@given(way=DEEP, at=st.integers(0, 3))
def test_nothing_is_removed_that_is_or_lies_behind_a_link(tmp_path_factory, way, at):
    folder = tmp_path_factory.mktemp("way")
    root, theirs = folder / "root", folder / "theirs"
    theirs.joinpath(*way).mkdir(parents=True)
    theirs.joinpath(*way, "file").write_text("theirs")
    at = min(at, len(way) - 1)
    linked(root, "/".join(way[: at + 1]), theirs.joinpath(*way[: at + 1]))
    before = contents(theirs)
    with chdir(root):
        for path in (Path(*way), Path(*way, "file"), root.joinpath(*way)):
            with pytest.raises(SecurityRefusal, match="is a link"):
                links.remove(path)
            with pytest.raises(SecurityRefusal, match="is a link"):
                disk.fresh(path)
    assert contents(theirs) == before


def test_removing_takes_a_link_inside_and_not_its_target(tmp_path, foreign):
    linked(tmp_path, "ours/link", foreign)
    before = contents(foreign)
    links.remove(tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
    assert contents(foreign) == before


def test_only_one_module_removes_trees():
    using = {path.name for path in (ROOT / "cll").rglob("*.py") if "rmtree" in path.read_text()}
    assert using == {"links.py"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data/signals", "models"])
def test_dvc_repro_in_a_clone_with_a_link_leaves_the_files_there(tmp_path, foreign, name):
    project = clone(tmp_path / "clone")
    linked(project.folder, name, foreign)
    project.run("git", "add", "--force", name)
    project.commit()
    before = contents(foreign)
    told = project.run("dvc", "repro", code=255)
    assert re.search(refused(f"cll: {name}").replace("^", "(?m)^"), told)
    assert contents(foreign) == before


@pytest.mark.parametrize("name", [*links.CACHED, "models", "outputs", "multirun", ".cll"])
def test_git_ignores_a_link_in_place_of_an_output(tmp_path, name):
    (tmp_path / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    linked(tmp_path, name, tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "check-ignore", "-q", name], cwd=tmp_path, check=True)
