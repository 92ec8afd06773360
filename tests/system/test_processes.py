import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cll.loop import backoff
from cll.pipeline import input_guard
from cll.system import locks, processes
from cll.types.errors import Busy, ConfigError, Unavailable

PIPELINE = """
stages:
  train:
    cmd: "true"
    deps: [code]
    params: [{resolved.yaml: [estimator]}]
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "code" / "__pycache__").mkdir(parents=True)
    (tmp_path / "code" / "a.py").write_text("x = 1\n")
    (tmp_path / "resolved.yaml").write_text("estimator: {}\n")
    return tmp_path


def test_a_second_change_of_a_project_at_once_is_told_so(tmp_path):
    busy = pytest.raises(Busy, match="Another `cll` is changing")
    with locks.only_one(tmp_path), busy, locks.only_one(tmp_path):
        pass


def test_an_edit_of_code_while_the_stage_runs_fails_it(root):
    with (
        pytest.raises(Busy, match=r"code/a.py changed while stage train ran"),
        input_guard.inputs_unchanged(root, "train"),
    ):
        (root / "code" / "a.py").write_text("x = 22\n")


def test_a_new_file_among_the_inputs_fails_it(root):
    with (
        pytest.raises(Busy, match=r"code/b.py changed while"),
        input_guard.inputs_unchanged(root, "train"),
    ):
        (root / "code" / "b.py").write_text("")


def test_an_edit_of_the_params_file_fails_it(root):
    with (
        pytest.raises(Busy, match=r"resolved.yaml changed"),
        input_guard.inputs_unchanged(root, "train"),
    ):
        (root / "resolved.yaml").write_text("estimator: {C: 2}\n")


def test_byte_code_written_meanwhile_is_no_change(root):
    with input_guard.inputs_unchanged(root, "train"):
        (root / "code" / "__pycache__" / "a.pyc").write_text("")


def test_too_few_files_that_may_be_opened_are_told_before_anything_is_done():
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, allowed[1]))
    try:
        with pytest.raises(Unavailable, match=r"a stage needs 64 at once; raise `ulimit -n`"):
            processes.enough_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    processes.enough_files()


def test_what_is_put_right_at_an_end_is_not_broken_off_by_a_second_signal():
    right = []

    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            right.append("put right")

    with pytest.raises(SystemExit, match="7"), processes.ending(7):
        work()
    assert right == ["put right"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


CHILD = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"


@pytest.mark.parametrize("threads", [0, 1])
def test_a_signal_waits_for_what_must_not_end_half_done(threads):
    done, over = [], threading.Event()

    def work():
        with processes.unbroken():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append(subprocess.run([sys.executable, "-c", CHILD], check=False).returncode)
        done.append("never")

    others = [threading.Thread(target=over.wait) for _ in range(threads)]
    for one in others:
        one.start()
    with pytest.raises(SystemExit, match="7"), processes.ending(7):
        work()
    over.set()
    assert done == [0]


def test_a_lock_is_seen_to_be_held_and_to_be_free(tmp_path):
    lock = tmp_path / ".cll" / "lock"
    assert not locks.is_held(lock)
    with locks.only_one(tmp_path):
        assert locks.is_held(lock)
    assert not locks.is_held(lock)


def with_code(root):
    """Give a project a module of `cll`, as a clone of this repository has it."""
    (root / "dvc.yaml").write_text(PIPELINE.replace("[code]", "[cll/loop/backoff.py]"))
    (root / "cll").mkdir()
    source = Path(backoff.__file__)
    (root / "cll" / "loop").mkdir()
    return shutil.copy(source, root / "cll" / "loop" / source.name)


def test_code_of_the_project_that_is_not_what_runs_is_refused(tmp_path):
    path = with_code(tmp_path)
    input_guard.refuse_foreign_package(tmp_path, "train")
    path.write_text("x = 1\n")
    with pytest.raises(
        ConfigError, match=r"cll/loop/backoff.py: is not the code that runs, which is /.*;"
    ):
        input_guard.refuse_foreign_package(tmp_path, "train")
    path.unlink()
    with pytest.raises(ConfigError, match=r"cll/loop/backoff.py: is not the code that runs"):
        input_guard.refuse_foreign_package(tmp_path, "train")


def test_a_project_without_code_runs_what_is_installed(root):
    input_guard.refuse_foreign_package(root, "train")
