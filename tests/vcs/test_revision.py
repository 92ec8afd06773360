import pytest

from cll.types.errors import ConfigError, Unavailable
from cll.vcs import revision
from tests.build.history import commit, git, repository


@pytest.fixture
def root(tmp_path):
    """Two commits on main."""
    folder = repository(tmp_path / "project")
    commit(folder, a_txt="1")
    commit(folder, a_txt="2")
    return folder


def test_outside_of_git_there_is_nothing_to_compare_with(tmp_path):
    with pytest.raises(ConfigError, match=r"^Not a git repository, .*`git init` and commit"):
        revision.find(tmp_path, None)


def test_before_the_first_commit_there_is_none_either(tmp_path):
    with pytest.raises(ConfigError, match=r"^git holds no commit yet"):
        revision.find(repository(tmp_path / "new"), None)


def test_a_revision_that_is_not_there_says_where_to_look(root):
    with pytest.raises(ConfigError, match=r"^v9: no such revision; `git fetch`, or see"):
        revision.find(root, "v9")


def test_an_option_is_no_revision(root):
    with pytest.raises(ConfigError, match=r"^--output=x: no such revision"):
        revision.find(root, "--output=x")


@pytest.mark.parametrize("asked", ["HEAD~1", None])
def test_a_shallow_clone_says_how_to_get_the_rest(root, tmp_path, asked):
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{root}", "shallow")
    with pytest.raises(Unavailable, match=r"this clone is shallow; run `git fetch --unshallow`"):
        revision.find(tmp_path / "shallow", asked)


def test_a_shallow_branch_that_shares_nothing_says_so_too(root, tmp_path):
    git(root, "switch", "-qc", "branch")
    commit(root, a_txt="3")
    git(root, "switch", "-q", "main")
    commit(root, a_txt="4")
    options = ["--depth", "1", "--no-single-branch", "-b", "branch"]
    git(tmp_path, "clone", "-q", *options, f"file://{root}", "shallow")
    with pytest.raises(Unavailable, match=r"^origin/main: HEAD shares no commit .*--unshallow"):
        revision.find(tmp_path / "shallow", "origin/main...")


def test_another_history_shares_nothing(root):
    git(root, "switch", "-q", "--orphan", "other")
    commit(root, b_txt="1")
    with pytest.raises(ConfigError, match=r"^main: HEAD shares no commit .*: name a revision"):
        revision.find(root, None)


def test_the_first_commit_of_main_has_none_before_it(tmp_path):
    folder = repository(tmp_path / "project")
    commit(folder, a_txt="1")
    with pytest.raises(ConfigError, match=r"^HEAD~1: this is the first commit"):
        revision.find(folder, None)


def test_a_branch_is_compared_with_where_it_left_the_default_branch(root):
    left = git(root, "rev-parse", "HEAD")
    git(root, "switch", "-qc", "branch")
    commit(root, a_txt="3")
    git(root, "switch", "-q", "main")
    commit(root, a_txt="4")
    git(root, "switch", "-q", "branch")
    found = revision.find(root, None)
    assert found.commit == left
    assert str(found) == f"main ({left[:9]})"
    assert revision.find(root, "main...") == found
    assert revision.find(root, "main").commit == git(root, "rev-parse", "main")


def test_the_default_branch_with_changes_is_compared_with_its_last_commit(root):
    (root / "a.txt").write_text("3")
    assert revision.find(root, None).commit == git(root, "rev-parse", "HEAD")


def test_the_default_branch_without_changes_is_compared_with_the_commit_before(root):
    assert revision.find(root, None).commit == git(root, "rev-parse", "HEAD~1")
    git(root, "switch", "-q", "--detach")
    assert revision.find(root, None).name == "HEAD~1"


def test_a_branch_that_has_nothing_of_its_own_yet_is_compared_with_itself(root):
    git(root, "switch", "-qc", "branch")
    assert revision.find(root, None).commit == git(root, "rev-parse", "HEAD")


def test_the_default_branch_is_the_one_that_origin_names(root, tmp_path):
    git(root, "branch", "-m", "trunk")
    git(root, "branch", "main", "HEAD~1")
    git(tmp_path, "clone", "-q", str(root), "clone")
    commit(tmp_path / "clone", a_txt="5")
    found = revision.find(tmp_path / "clone", None)
    assert (found.name, found.commit) == ("origin/trunk", git(root, "rev-parse", "trunk"))


def test_a_file_is_read_as_it_was_from_wherever_the_project_lies(tmp_path):
    top = repository(tmp_path / "all")
    commit(top, part__a_txt="old\n", a_txt="of the top")
    (top / "part" / "a.txt").write_text("new\n")
    found = revision.find(top / "part", "HEAD")
    assert found.read("a.txt") == b"old\n"
    assert found.read("b.txt") is None
    assert revision.find(top, "HEAD").read("part") is None
