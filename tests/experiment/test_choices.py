import json

import pytest

from cll.experiment import choices
from cll.types.errors import ConfigError
from tests.build import small


@pytest.fixture
def folder(tmp_path):
    return small.project(tmp_path / "project").root


def chosen(folder, group):
    return [choice.name for choice in choices.read(folder, group)[group] if choice.chosen]


@pytest.mark.parametrize(
    ("params", "group", "names"),
    [
        ("set: {}", "estimator", ["lightgbm"]),
        ("estimator: logistic", "estimator", ["logistic"]),
        ("experiment: classic", "estimator", ["logistic"]),
        ("experiment: classic", "experiment", ["classic"]),
        ("set: {}", "experiment", []),
        ("{experiment: classic, estimator: lightgbm}", "estimator", ["lightgbm"]),
        ("trigger: [drift, weekly]", "trigger", ["drift", "weekly"]),
        ("trigger: never", "trigger", ["never"]),
    ],
)
def test_the_choice_of_params_yaml_comes_before_that_of_the_experiment(
    folder, params, group, names
):
    (folder / "params.yaml").write_text(f"{params}\n")
    assert chosen(folder, group) == names


def test_a_list_that_an_experiment_chooses_is_marked(folder):
    (folder / "conf" / "experiment" / "two.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /trigger: [drift, weekly]\n"
    )
    (folder / "params.yaml").write_text("experiment: two\n")
    assert chosen(folder, "trigger") == ["drift", "weekly"]


def test_a_choice_is_described_by_the_first_comment_line_of_its_file(folder):
    path = folder / "conf" / "experiment" / "mine.yaml"
    path.write_text("# @package _global_\n# A first line.\n# A second line.\nseed: 1\n")
    (folder / "conf" / "experiment" / "silent.yaml").write_text("seed: 1  # nothing above\n")
    summaries = {c.name: c.summary for c in choices.read(folder, "experiment")["experiment"]}
    assert (summaries["mine"], summaries["silent"]) == ("A first line.", "")


def test_an_unknown_group_is_refused_with_a_near_match(folder):
    with pytest.raises(
        ConfigError, match=r"estimatr: no such group of conf/; did you mean estimator\?"
    ):
        choices.read(folder, "estimatr")
    result = small.cll(folder, "conf", "planets")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith("cll: planets: no such group of conf/; there are: estimator, ")


def test_groups_and_choices_are_listed_with_the_chosen_marked(folder):
    lines = small.cll(folder, "conf").out.splitlines()
    assert "estimator   *lightgbm logistic" in lines
    details = small.cll(folder, "conf", "estimator").out.splitlines()
    assert [line[:12] for line in details] == ["* lightgbm  ", "  logistic  "]
    groups = json.loads(small.cll(folder, "conf", "--json").out)
    assert [len(line.split()) - 1 for line in lines] == [len(group) for group in groups.values()]
    assert groups["estimator"][0].keys() == {"name", "summary", "chosen"}
