import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cll.loop import daemon, tick
from cll.system import locks
from cll.vcs import repair
from tests.build import released, small
from tests.conftest import BIN
from tests.loop.test_tick import PIPELINE, STAGE, WORLD
from tests.run import turning

RWLOCK, LOCK = ".dvc/tmp/rwlock", "dvc.lock"
NEXT = ("tick", "--as-of", "2026-01-03T00:00:00Z")
GONE = 2**22 + 1  # no process can have this number


LOCKED = """\
schema: '2.0'
stages:
  featurize:
    cmd: exec python stage.py
    deps:
    - path: stage.py
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
      size: 120
    params:
      world.yaml:
        as_of: 2026-01-02T00:00:00Z
        champion:
    outs:
    - path: data
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
      size: 4096
      nfiles: 3
"""


@pytest.fixture
def bare(tmp_path):
    """Return a project that no DVC has to run in, with its dvc.lock in git."""
    folder = tmp_path / "project"
    (folder / RWLOCK).parent.mkdir(parents=True)
    (folder / LOCK).write_text(LOCKED)
    (folder / ".gitignore").write_text("/.cll/\n/.dvc/\n")
    released.git(folder, "init", "-q", "-b", "main")
    released.commit(folder)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repair") / "project"
    folder.mkdir()
    for name, text in (("world.yaml", WORLD), ("stage.py", STAGE), ("dvc.yaml", PIPELINE)):
        (folder / name).write_text(text)
    released.git(folder, "init", "-q", "-b", "main")
    turning.dvc(folder, "init")
    (folder / ".gitignore").write_text("/.cll/\n")
    turning.dvc(folder, "repro")
    released.commit(folder)
    return folder


@pytest.fixture
def root(made, tmp_path):
    """Return a project of one stage that DVC runs, in git."""
    return shutil.copytree(made, tmp_path / "project")


def notes(root, capsys):
    """Repair; return what was said, line by line."""
    repair.heal(root)
    assert repair.damages(root) == []
    return capsys.readouterr().err.splitlines()


def listed(root, pid, kind="write"):
    """Write DVC's list of running processes, as one of this number would."""
    process = {"pid": pid, "cmd": "dvc repro"}
    held = {str(root / "metrics.json"): process if kind == "write" else [process]}
    (root / RWLOCK).write_text(json.dumps({"read": {}, "write": {}, kind: held}))


BROKEN = ["", "\0\0\0", '{"write": {"/x": {"pi', "[]", "3", '{"write": 3}', '{"other": {}}']


@pytest.mark.parametrize("text", BROKEN)
def test_a_list_of_processes_that_dvc_can_not_read_is_removed(bare, capsys, text):
    (bare / RWLOCK).write_text(text)
    assert notes(bare, capsys) == [f"repair: {RWLOCK}: empty, cut off or damaged; removed."]
    assert not (bare / RWLOCK).exists()


@pytest.mark.parametrize("kind", ["write", "read"])
def test_a_list_of_processes_that_ended_is_removed(bare, capsys, kind):
    listed(bare, GONE, kind)
    assert notes(bare, capsys) == [
        f"repair: {RWLOCK}: names only processes that have ended; removed."
    ]


def test_a_list_that_names_no_process_is_no_damage(bare, capsys):
    (bare / RWLOCK).write_text("{}")
    assert notes(bare, capsys) == []
    assert (bare / RWLOCK).exists()


def test_a_number_that_another_process_has_by_now_is_not_taken_for_dvcs(bare, capsys):
    listed(bare, os.getpid())
    os.utime(bare / RWLOCK, (0, 0))  # before this process began
    assert len(notes(bare, capsys)) == 1


@pytest.fixture
def worker():
    """Return the number of a process that is at work, and runs nothing of DVC."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    time.sleep(0.1)  # so that what is written now is later than its beginning
    yield child.pid
    child.kill()
    child.wait()


def test_while_a_process_of_dvc_is_at_work_nothing_is_repaired(bare, worker, capsys):
    listed(bare, worker)
    (bare / LOCK).write_text("")
    before = (bare / RWLOCK).read_bytes()
    assert notes(bare, capsys) == []
    assert (bare / RWLOCK).read_bytes() == before
    assert (bare / LOCK).read_text() == ""


@pytest.mark.slow
def test_a_process_of_dvc_that_is_in_the_way_is_named_and_the_code_is_that_of_busy(root, worker):
    listed(root, worker)
    said = small.cll(root, "--quiet", *NEXT)
    assert said.code == 5
    assert f"is busy, it is being blocked by: (PID {worker}): dvc repro.\n" in said.err
    assert f"(PID {worker})" in small.cll(root, "status").out


HELD = [".dvc/tmp/lock", ".dvc/tmp/rwlock.lock"]


@pytest.mark.parametrize("name", HELD)
def test_while_dvc_holds_a_lock_nothing_is_repaired(bare, name):
    (bare / LOCK).write_text("")
    with locks.alone(bare / name, "held"):
        assert repair.damages(bare) == []
        repair.heal(bare)
    assert (bare / LOCK).read_text() == ""
    assert len(repair.damages(bare)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", f" {GONE}\n", "\0\0"])
def test_locks_that_were_left_behind_stop_nothing(root, text):
    for name in HELD:
        (root / name).write_text(text)
    assert small.cll(root, *NEXT).code == 0


def damaged(text):
    """Return a dvc.lock as kills and disks leave one."""
    middle = text.index("as_of")
    return {
        "empty": "",
        "zeros": "\0" * len(text),
        "cut": text[:middle],
        "cut in a word": text[: middle + 3],
        "no yaml": "{",
        "a list": "[]",
        "a word": "hello",
    }


DAMAGES = tuple(damaged(LOCKED))


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_lock_file_is_taken_from_git_and_kept_aside(bare, capsys, how):
    text = damaged(LOCKED)[how]
    (bare / LOCK).write_text(text)
    (line,) = notes(bare, capsys)
    assert line.startswith("repair: dvc.lock: ")
    assert line.endswith("; restored from git's HEAD (it was moved to .cll/damaged-dvc.lock).")
    assert (bare / LOCK).read_text() == LOCKED
    assert (bare / ".cll" / "damaged-dvc.lock").read_text() == text


@pytest.mark.parametrize("committed", [None, "", "schema: 3\n"])
def test_where_git_has_no_whole_one_a_damaged_lock_file_is_removed(bare, capsys, committed):
    if committed is None:
        shutil.rmtree(bare / ".git")
    else:
        (bare / LOCK).write_text(committed)
        released.commit(bare)
    (bare / LOCK).write_text("{")
    (line,) = notes(bare, capsys)
    assert "; removed, so that it is made again (it was moved to" in line
    assert not (bare / LOCK).exists()


@pytest.mark.slow
@pytest.mark.parametrize("in_git", [True, False])
@pytest.mark.parametrize("how", ["empty", "cut in a word"])
def test_the_next_tick_goes_on_with_a_damaged_lock_file(root, how, in_git):
    if not in_git:
        released.git(root, "rm", "-q", "--cached", LOCK)
        released.git(root, "commit", "-qm", "no dvc.lock")
    (root / LOCK).write_text(damaged((root / LOCK).read_text())[how])
    (root / RWLOCK).write_text("")
    said = small.cll(root, *NEXT)
    assert said.code == 0, said.err
    assert said.err.count("repair: ") == 2
    assert "2026-01-03" in (root / LOCK).read_text()


def test_a_lock_file_is_touched_exactly_where_dvc_can_not_read_it_however_it_was_cut():
    path, text = Path(LOCK), LOCKED.encode()
    for end in range(len(text)):
        reads = repair._reads(text[:end])
        assert repair._finding(path, text[:end]) in (
            [""] if reads else ["empty", "cut off or damaged"]
        )


def test_a_whole_lock_file_is_known_without_dvc(monkeypatch):
    monkeypatch.setattr(repair, "_reads", None)  # a quarter of a second of imports
    for text in (LOCKED.encode(), (small.ROOT / LOCK).read_bytes()):
        assert repair._finding(Path(LOCK), text) == ""


def test_a_lock_file_that_a_person_wrote_and_dvc_reads_is_left_alone(bare, capsys):
    text = "schema: '2.0'\nstages:\n  featurize:\n    cmd: [a, b]\n"
    (bare / LOCK).write_text(text)
    assert notes(bare, capsys) == []
    assert (bare / LOCK).read_text() == text


def test_a_merge_conflict_is_left_to_a_person_and_named(bare, capsys):
    text = f"<<<<<<< HEAD\n{LOCKED}=======\n>>>>>>> other\n"
    (bare / LOCK).write_text(text)
    assert notes(bare, capsys) == []
    assert (bare / LOCK).read_text() == text
    said = small.cll(bare, *NEXT)
    assert said.code == 2
    assert said.err.startswith("cll: dvc.lock: holds the conflict markers of a merge: ")


DATABASES = ("hashes/local/cache.db", "links/cache.db")


@pytest.mark.slow
@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("how", ["empty", "cut", "junk"])
def test_a_damaged_database_of_dvc_is_begun_anew(root, tmp_path, monkeypatch, name, how):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    turning.dvc(root, "repro", "--force")
    (path,) = (tmp_path / "site").glob(f"repo/*/{name}")
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "junk": b"junk" * 2000}[how])
    said = small.cll(root, *NEXT)
    assert said.code == 0, said.err
    assert ("a database of DVC is damaged" in said.err) == (how != "empty")


@pytest.mark.parametrize("name", [tick.LAST, daemon.STATE])
@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\0\0"])
def test_damaged_state_of_ours_is_named_by_the_status_and_removed(bare, capsys, name, text):
    (bare / ".cll").mkdir()
    (bare / name).write_text(text)
    said = small.cll(bare, "status")
    assert said.code == 0, said.err
    assert f"unknown: {name}: damaged; it is written anew by the next tick.\n" in said.out
    (line,) = notes(bare, capsys)
    assert line.startswith(f"repair: {name}: ")


def test_state_that_lacks_what_the_status_tells_is_named(bare):
    for name in (tick.LAST, daemon.STATE):
        (bare / name).parent.mkdir(exist_ok=True)
        (bare / name).write_text('{"every": "1h", "mode": null, "as_of": "soon"}')
    said = small.cll(bare, "status")
    assert said.code == 0, said.err
    assert said.out.count(": damaged; it is written anew by the next tick.") == 2


@pytest.mark.parametrize("text", ["", "abc", "\0"])
def test_a_tree_to_go_back_to_that_can_not_be_read_is_forgotten(bare, capsys, text):
    (bare / ".cll").mkdir()
    (bare / repair.BEFORE).write_text(text)
    (line,) = notes(bare, capsys)
    assert line.startswith("repair: .cll/before-tick: names no commit and tree; removed; ")


@pytest.mark.parametrize("name", ["resolved.yaml", "metrics.json", "reports/verdict.json"])
@pytest.mark.parametrize("text", ["", "{", "\0\0", "[]"])
def test_what_a_stage_made_is_taken_from_git_or_removed(bare, capsys, name, text):
    (bare / name).parent.mkdir(exist_ok=True)
    (bare / name).write_text(text)
    (line,) = notes(bare, capsys)
    assert line.startswith(f"repair: {name}: ")
    assert not (bare / name).exists()
    (bare / name).write_text('{"a": 1}')
    released.commit(bare)
    (bare / name).write_text(text)
    repair.heal(bare)
    assert (bare / name).read_text() == '{"a": 1}'


@pytest.mark.slow
def test_dvcs_own_reason_is_kept_for_the_status(root):
    (root / "dvc.yaml").write_text("stages: 3\n")
    said = small.cll(root, "--quiet", *NEXT)
    reason = "'./dvc.yaml' validation failed: expected a dictionary, in stages"
    assert said.code == 1
    assert said.err.startswith(f"cll: `dvc repro featurize` failed: {reason}")
    assert json.loads((root / tick.LAST).read_text())["says"].startswith(reason)
    assert reason in small.cll(root, "status").out


@pytest.mark.slow
def test_a_stage_that_crashed_is_told_with_what_it_ended_with(root):
    (root / "stage.py").write_text("import sys\nsys.exit(9)\n")
    small.cll(root, *NEXT)
    says = json.loads((root / tick.LAST).read_text())["says"]
    assert says == (
        "failed to reproduce 'featurize': failed to run: exec python stage.py, exited with 9"
    )


@pytest.mark.slow
def test_an_earlier_refusal_is_not_taken_for_the_reason_of_a_later_failure(root):
    small.cll(root, "tick", "--as-of", "2030-01-01T00:00:00Z", "--future")
    assert json.loads((root / tick.LAST).read_text())["says"] == "a day is missing."
    (root / "world.yaml").write_text("as_of: soon\n")
    small.cll(root, *NEXT)
    assert json.loads((root / tick.LAST).read_text())["says"].startswith("world.yaml.as_of=")


@pytest.mark.slow
def test_on_a_terminal_dvc_still_sees_one(root):
    (root / "dvc.yaml").write_text("stages: 3\n")
    parent, child = os.openpty()
    try:
        code = "from pathlib import Path\nfrom cll.vcs import repro\nrepro.run(Path())"
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, stdout=child, stderr=child, check=True
        )
        said = os.read(parent, 100_000).decode()
    finally:
        os.close(parent)
        os.close(child)
    assert "\x1b[31m'./dvc.yaml' validation failed" in said.replace("\x1b[0m", "")


def kills(root, scratch, points):
    """Kill `dvc repro` at these changes; return what each kill left behind."""
    command = [sys.executable, "-m", "tests.run.killed_dvc", root, scratch, points]
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(small.ROOT)}
    done = subprocess.run(
        list(map(str, command)),
        cwd=small.ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_wherever_dvc_is_killed_the_next_tick_goes_on(root, tmp_path):
    (root / "world.yaml").write_text(WORLD.replace("2026-01-02T00", "2026-01-02T06"))
    ((_, count, _),) = kills(root, tmp_path / "whole", "count")
    found = kills(root, tmp_path / "killed", ",".join(map(str, range(count))))
    emptied = {name: [end for end, _, names in found if name in names] for name in (RWLOCK, LOCK)}
    assert all(emptied.values())  # or no kill was in the midst of a write
    died = [end for end, ended, _ in found if ended is None]
    for end in sorted({*emptied[RWLOCK][::4], *emptied[LOCK], *died[::16]}):
        said = small.cll(tmp_path / "killed" / str(end), *NEXT)
        assert said.code == 0, (end, said.err)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whenever_a_tick_is_killed_the_next_one_goes_on(root):
    for number in range(8):
        ticking = turning.start(root, "tick", "--as-of", f"2026-01-03T0{number}:00:00Z")
        time.sleep(0.4 + 0.35 * number)
        turning.killed(ticking, root)
        said = small.cll(root, "tick", "--as-of", f"2026-01-03T0{number}:30:00Z")
        assert said.code == 0, said.err
