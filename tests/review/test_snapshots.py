import pytest

from cll.review import snapshots
from cll.types.errors import CllError, ConfigError, DataRefused
from cll.vcs import revision
from tests.build.history import commit, figures, repository, write


@pytest.fixture
def root(tmp_path):
    folder = repository(tmp_path / "project")
    write(folder, figures(), draws_seed=1)
    return folder


def at_head(root):
    commit(root)
    return snapshots.read_revision(revision.find(root, "HEAD"))


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("metrics.json", "{", DataRefused),
        ("metrics.json", "[]", DataRefused),
        ("metrics.json", "<<<<<<< HEAD\n", DataRefused),
        ("reports/verdict.json", "nonsense", DataRefused),
        ("reports/draws.csv", "roc_auc\nhigh\n", DataRefused),
        ("resolved.yaml", "a: [", ConfigError),
        ("resolved.yaml", "a: &x 1\nb: *x\n", CllError),
    ],
)
def test_a_damaged_file_is_one_line_that_says_where(root, name, text, kind):
    (root / name).write_text(text)
    with pytest.raises(kind, match=rf"^{name} at HEAD \([0-9a-f]+\).*\.$") as found:
        at_head(root)
    assert "\n" not in str(found.value)
    with pytest.raises(kind, match=f"^{name}:.*"):
        snapshots.read_folder(root)


def test_a_missing_file_is_none(tmp_path):
    folder = repository(tmp_path / "empty")
    assert at_head(folder) == snapshots.read_folder(folder) == snapshots.ProjectState()


def test_a_revision_and_a_folder_are_read_alike(root):
    then, now = at_head(root), snapshots.read_folder(root)
    assert then.draws.equals(now.draws)
    assert (then.metrics, then.resolved, then.world) == (now.metrics, now.resolved, now.world)
    assert now.world == {"as_of": "2026-01-31T00:00:00Z", "champion": "none"}
