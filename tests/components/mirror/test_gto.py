import sys

import gto.api
import pytest

from cll.components.mirror.gto import Gto
from cll.types.errors import Unavailable
from cll.types.verdicts import Released
from tests.build import released

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository of three commits."""
    for name, value in released.WHO.items():
        monkeypatch.setenv(name, value)
    released.git(tmp_path, "init", "-q", "-b", "main")
    for _ in range(3):
        released.commit_empty(tmp_path)
    return tmp_path


@pytest.fixture
def releases(root):
    commits = released.git(root, "rev-list", "--reverse", "HEAD").split()
    return [Released(f"v1.{n}.0", commit, "better") for n, commit in enumerate(commits)]


def tags(root):
    return released.git(root, "tag", "--list").split()


def staged(root):
    """What GTO says is in force, after it was made sure that DVC says the same."""
    (found,) = gto.api.find_versions_in_stage(str(root), "failure-model", "production")
    newest = "--sort=-creatordate", "--count=1", "--format=%(*objectname)"
    last = released.git(root, "for-each-ref", *newest, "refs/tags/failure-model#*")
    assert last == found.commit_hexsha
    return found.version


def test_each_version_is_a_tag_at_its_commit_and_one_is_in_force(root, releases):
    said = Gto()(root, releases, "v1.2.0")
    assert len(said) == 4
    assert tags(root) == [
        "failure-model#production#1",
        "failure-model@v1.0.0",
        "failure-model@v1.1.0",
        "failure-model@v1.2.0",
    ]
    at = released.git(root, "rev-parse", "failure-model@v1.1.0^{commit}")
    assert at == releases[1].commit
    assert released.git(root, "cat-file", "-t", "failure-model@v1.1.0") == "tag"
    assert staged(root) == "v1.2.0"


def test_a_mirror_in_line_is_left_as_it_is(root, releases):
    Gto()(root, releases, "v1.2.0")
    assert Gto()(root, releases, "v1.2.0") == []


def test_an_earlier_version_comes_into_force_again(root, releases):
    Gto()(root, releases[:2], "v1.0.0")
    for version in ("v1.1.0", "v1.0.0", "v1.1.0"):
        assert Gto()(root, releases[:2], version) == [f"failure-model#production: {version}."]
        assert staged(root) == version


def test_a_tag_of_what_was_never_released_goes(root, releases):
    gto.api.register(str(root), "failure-model", ref="HEAD", version="v9.0.0")
    said = Gto()(root, releases, "v1.2.0")
    assert said[0] == "failure-model@v9.0.0: removed, never released."
    assert "failure-model@v9.0.0" not in tags(root)


def test_a_tag_at_another_commit_is_put_right(root, releases):
    released.git(root, "tag", "-a", "-m", "x", "failure-model@v1.0.0", "HEAD~1")
    said = Gto()(root, releases, "v1.2.0")
    assert said[0] == "failure-model@v1.0.0: removed, not at its release's commit."
    at = released.git(root, "rev-parse", "failure-model@v1.0.0^{commit}")
    assert at == releases[0].commit


def test_a_lightweight_tag_is_no_record_and_is_put_right(root, releases):
    released.git(root, "tag", "failure-model@v1.0.0", releases[0].commit)
    Gto()(root, releases, "v1.2.0")
    assert released.git(root, "cat-file", "-t", "failure-model@v1.0.0") == "tag"


def test_other_artifacts_are_left_alone(root, releases):
    gto.api.register(str(root), "other", ref="HEAD", version="v9.0.0")
    Gto(artifact="model")(root, releases, "v1.2.0")
    assert {"other@v9.0.0", "model@v1.0.0"} <= set(tags(root))


def test_a_stage_set_by_hand_is_put_right(root, releases):
    Gto()(root, releases, "v1.2.0")
    gto.api.assign(str(root), "failure-model", "production", version="v1.0.0")
    assert Gto()(root, releases, "v1.2.0") == ["failure-model#production: v1.2.0."]
    assert staged(root) == "v1.2.0"


def test_a_tag_from_the_future_is_told(root, releases, monkeypatch):
    Gto()(root, releases, "v1.2.0")
    monkeypatch.setattr("time.time", lambda: 1_000_000_000)
    with pytest.raises(Unavailable, match=r"its last tag is .* s in the future; set the clock"):
        Gto()(root, releases, "v1.0.0")


def test_without_gto_the_way_to_it_is_told(root, releases, monkeypatch):
    monkeypatch.setitem(sys.modules, "gto.api", None)
    with pytest.raises(Unavailable, match='GTO is not installed; install cll with "gto"'):
        Gto()(root, releases, "v1.2.0")
