import resource

import pytest

from cll import guard
from cll.errors import Busy, Unavailable

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
    with guard.only_one(tmp_path), busy, guard.only_one(tmp_path):
        pass


def test_an_edit_of_code_while_the_stage_runs_fails_it(root):
    with (
        pytest.raises(Busy, match=r"code/a.py changed while stage train ran"),
        guard.inputs_unchanged(root, "train"),
    ):
        (root / "code" / "a.py").write_text("x = 22\n")


def test_a_new_file_among_the_inputs_fails_it(root):
    with (
        pytest.raises(Busy, match=r"code/b.py changed while"),
        guard.inputs_unchanged(root, "train"),
    ):
        (root / "code" / "b.py").write_text("")


def test_an_edit_of_the_params_file_fails_it(root):
    with pytest.raises(Busy, match=r"resolved.yaml changed"), guard.inputs_unchanged(root, "train"):
        (root / "resolved.yaml").write_text("estimator: {C: 2}\n")


def test_byte_code_written_meanwhile_is_no_change(root):
    with guard.inputs_unchanged(root, "train"):
        (root / "code" / "__pycache__" / "a.pyc").write_text("")


def test_too_few_files_that_may_be_opened_are_told_before_anything_is_done():
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, allowed[1]))
    try:
        with pytest.raises(Unavailable, match=r"a stage needs 64 at once; raise `ulimit -n`"):
            guard.enough_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    guard.enough_files()
