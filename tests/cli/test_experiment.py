import pytest

from tests.build import small


def test_resolved_yaml_is_up_to_date_after_composing(folder):
    assert small.cll(folder, "compose").code == 0
    assert small.cll(folder, "compose", "--check").code == 0


def test_the_result_of_a_project_is_shown(fleet):
    result = small.cll(fleet.root, "show")
    assert result.code == 0
    assert result.err.startswith("stale: `dvc status` can't tell what changed: you are not inside")
    assert result.out.splitlines()[-3:] == [
        "model    models/candidate",
        "report   reports/report.html",
        "metrics  metrics.json",
    ]


@pytest.mark.parametrize("command", ["run", "replay"])
def test_the_help_lists_the_arguments_that_hydra_takes(folder, command):
    text = small.cll(folder, command, "--help").out
    for word in ("[KEY=VALUE]...", " -m ", "--resume", "--cfg", "--info"):
        assert word in text


def test_options_that_the_help_does_not_list_reach_hydra(folder):
    words = ["run", "seed=3", "--cfg", "job", "--resolve", "-p", "split"]
    result = small.cll(folder, *words)
    assert result.out.startswith("# @package split\n")
    assert small.cll(folder, *words[:2], "-c", *words[3:]) == result


def test_an_unknown_option_is_refused_with_those_that_exist(folder):
    result = small.cll(folder, "run", "--turbo")
    assert result.code == 2
    assert result.err.startswith("cll: --turbo: no such option of run; there are: ")
