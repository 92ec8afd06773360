import os
import shutil
import subprocess

import pytest

from tests.build import small
from tests.conftest import BIN

ENV = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
# Outside of a completion, bash has no compopt, and zsh none of the functions that add matches.
BASH = """
compopt() { :; }
eval "$(cll completion bash)"
COMP_LINE=$1 COMP_POINT=${#1}
_cll_completion cll
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { :; }
compadd() { shift 3; print -l -- $@; }
_describe() { print -l -- ${(P)3}; }
_files() { print files; }
eval "$(cll completion zsh)"
words=("${(@s: :)1}") CURRENT=${#words}
_cll_completion
"""
LINES = [
    ("cll rel", ["release"]),
    ("cll registry sh", ["show"]),
    ("cll release --boot", ["--bootstrap"]),
    ("cll loop --mode a", ["auto"]),
    ("cll run --mul", ["--multirun"]),
    ("cll run estim", ["estimator.", "estimator="]),
    ("cll run -m estimator.num_l", ["estimator.num_leaves="]),
    ("cll run estimator=logistic estimator.C", ["estimator.C="]),
    ("cll replay trigger=w", ["trigger=weekly"]),
    ("cll conf est", ["estimator"]),
]


def completions(folder, *words):
    done = subprocess.run(words, cwd=folder, env=ENV, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_bash_completes_commands_options_and_overrides(folder, line, expected):
    after_equals = [value.removeprefix("trigger=") for value in expected]  # = ends a word in bash
    assert completions(folder, "bash", "--norc", "-c", BASH, "bash", line) == after_equals


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(("line", "expected"), LINES)
def test_zsh_completes_commands_options_and_overrides(folder, line, expected):
    values = [value.split(":")[0] for value in completions(folder, "zsh", "-fc", ZSH, "zsh", line)]
    assert sorted(values) == sorted(expected)


def test_bash_leaves_paths_to_its_own_completion_of_files(folder):
    assert completions(folder, "bash", "--norc", "-c", BASH, "bash", "cll show out") == [""]


def test_groups_complete_where_the_config_does_not_compose(folder):
    (folder / "conf" / "config.yaml").write_text("defaults: [nowhere: none]\n")
    line = "cll run estim"
    assert completions(folder, "bash", "--norc", "-c", BASH, "bash", line) == ["estimator="]


def test_an_unknown_shell_is_a_usage_error(folder):
    assert small.cll(folder, "completion", "csh").code == 2


def test_the_script_is_printed_in_a_folder_that_other_commands_refuse(folder):
    (folder / "data").symlink_to(folder.parent)
    assert small.cll(folder, "status").code == 4
    assert "complete -o default" in small.cll(folder, "completion", "bash").out
