import pytest

from cll.types.errors import ConfigError
from cll.vcs import merge_conflict
from tests.build import small

CONFLICT = "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n"


@pytest.fixture
def root(tmp_path):
    return small.project(tmp_path / "project").root


@pytest.mark.parametrize(
    "name",
    [
        "params.yaml",
        "world.yaml",
        "dvc.yaml",
        "dvc.lock",
        "resolved.yaml",
        "metrics.json",
        "reports/verdict.json",
        "reports/draws.csv",
        "registry/schema.yaml",
        "registry/arrivals.jsonl",
    ],
)
def test_any_command_answers_a_conflict_with_the_recipe(root, name):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(CONFLICT)
    for words in (["show"], ["gate"], ["compose"], ["run", *small.CLASSIC], ["diff"]):
        said = small.cll(root, *words)
        assert said.code == 2
        assert said.err == (
            f"cll: {name}: holds the conflict markers of a merge: mend params.yaml and world.yaml "
            "by hand, then `git checkout --ours dvc.lock resolved.yaml metrics.json reports "
            "registry/schema.yaml`, `dvc repro`, `git add -u`, `git commit`.\n"
        )


@pytest.mark.parametrize("words", [["--help"], ["diff", "--help"], ["run", "--help"], []])
def test_help_is_given_all_the_same(root, words):
    (root / "params.yaml").write_text(CONFLICT)
    said = small.cll(root, *words)
    assert "Usage: cll" in said.out + said.err
    assert "conflict" not in said.err


def test_markers_within_a_line_are_text(root):
    (root / "params.yaml").write_text('set: {}  # "<<<<<<< HEAD" is a marker\n')
    merge_conflict.refuse(root)


def test_a_marker_in_the_first_line_counts(root):
    (root / "metrics.json").write_text(CONFLICT.removeprefix("a: 1\n"))
    with pytest.raises(ConfigError, match=r"^metrics\.json: holds the conflict markers"):
        merge_conflict.refuse(root)


def test_the_readme_gives_the_same_recipe():
    steps = [f"git checkout --ours {merge_conflict.MADE}", "dvc repro", "git add -u", "git commit"]
    assert "\n".join(steps) in (small.ROOT / "README.md").read_text()
