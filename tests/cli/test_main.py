import re
import shlex
import subprocess
import sys

import pytest
import typer

from cll.cli import main as cli_main
from tests.build import small

HEAVY = (
    *("sklearn", "lightgbm", "numba", "hydra", "omegaconf", "dvc", "altair"),
    *("polars", "numpy", "pyarrow", "yaml"),
)


def commands(group=None, words=()):
    """Yield the words and the object of each command and each group."""
    group = group or typer.main.get_command(cli_main.app)
    yield list(words), group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


COMMANDS = list(commands())


def parse(command, arguments):
    """Parse arguments down to the last command, without running it."""
    with command.make_context("cll", list(arguments)) as context:
        if hasattr(command, "commands"):
            _, inner, rest = command.resolve_command(
                context, [*context._protected_args, *context.args]
            )
            parse(inner, rest)


def imported(*words):
    code = (
        "import sys\nfrom cll.__main__ import main\n"
        f"sys.argv = {['cll', *words]!r}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([name, "--help"] for name in ("run", "diff", "release"))]
)
def test_help_imports_nothing_heavy(words):
    assert imported(*words).isdisjoint(HEAVY)


def test_the_help_lists_commands_in_groups(tmp_path):
    text = small.cll(tmp_path, "--help").out
    for panel in ("Experiment", "Data", "Loop", "Release", "Check", "Serving"):
        assert f"─ {panel} ─" in text
    for words, _ in COMMANDS:
        assert not words or f" {words[0]} " in text


@pytest.mark.parametrize("words", [words for words, _ in COMMANDS], ids=" ".join)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_fits_the_width_of_the_terminal(tmp_path, monkeypatch, width, words):
    monkeypatch.setenv("COLUMNS", str(width))
    result = small.cll(tmp_path, *words, "-h")
    assert result.code == 0
    assert result.out == small.cll(tmp_path, *words, "--help").out
    assert max(map(len, result.out.splitlines())) <= width
    assert "…" not in result.out


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=lambda value: str(value)[:20])
def test_the_help_of_a_command_ends_with_examples_that_parse(words, command):
    title, *lines = command.epilog.splitlines()
    assert title == "Examples:"
    assert lines
    group = typer.main.get_command(cli_main.app)
    for line in lines:
        in_shell = re.fullmatch(r'eval "\$\((.*)\)"', line.strip())
        program, *arguments = shlex.split(in_shell[1] if in_shell else line)
        assert (program, arguments[: len(words)]) == ("cll", words)
        parse(group, arguments)


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=lambda value: str(value)[:20])
def test_the_first_sentence_of_a_help_fits_a_line(words, command):
    summary = command.help.split("\n\n")[0]
    assert summary.endswith(".")
    assert not words[1:] or len(summary) <= 64


def test_the_version_is_printed_anywhere(tmp_path):
    result = small.cll(tmp_path, "--version")
    assert result.code == 0
    assert result.out.startswith("cll 0.")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show"], 6, "cll: metrics.json: not there yet; run `dvc repro` first.\n"),
        (
            ["show", "nowhere"],
            6,
            "cll: nowhere/metrics.json: not there yet; run `dvc repro` first.\n",
        ),
        (["gate"], 6, "cll: reports/verdict.json: not there yet; run `dvc repro` first.\n"),
        (["verify", "run"], 6, "cll: metrics.json, models/candidate: missing; "),
        (["export", "--onnx", "a.onnx"], 6, "cll: models/candidate: no model is there; "),
        (["predict", "no.csv", "--out", "a.csv"], 6, "cll: no.csv: no such file or folder.\n"),
        (["predict", "no.csv", "--out", "a.xls"], 2, "cll: --out=a.xls: name a .parquet or"),
        (["predict", "dvc.yaml", "--out", "a.csv", "--model", "x"], 6, "cll: x: no model is there"),
        (["compose", "--check"], 2, "cll: resolved.yaml: stale; "),
    ],
)
def test_a_refusal_is_one_line_and_a_code(folder, words, code, says):
    result = small.cll(folder, *words)
    assert result.code == code
    assert result.err.startswith(says)
    assert result.err.count("\n") == 1


def test_an_unknown_command_is_a_usage_error(folder):
    assert small.cll(folder, "display").code == 2


def test_debug_shows_the_traceback_and_then_the_line(folder):
    result = small.cll(folder, "show", "--debug")
    assert result.code == 6
    assert result.err.startswith("Traceback (most recent call last):\n")
    assert result.err.endswith("cll: metrics.json: not there yet; run `dvc repro` first.\n")


@pytest.mark.parametrize("words", [["--quiet", "run"], ["run", "--quiet"]])
def test_quiet_prints_no_progress_before_or_after_the_command(folder, words):
    result = small.cll(folder, *words, "source=classic", "features=kpi", "label=incident")
    assert result.code == 3
    assert "ingest:" not in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("outputs", ["run", *small.CLASSIC], "outputs"),
        (
            "metrics.json",
            ["show"],
            "metrics.json: Is a directory; check the disk and the permissions.",
        ),
        ("multirun", ["run", "-m", *small.CLASSIC], "multirun"),
    ],
)
def test_an_error_of_the_disk_is_one_line(folder, name, words, says):
    if name == "metrics.json":
        (folder / name).mkdir()
    else:
        (folder / name).write_text("")
    result = small.cll(folder, "--quiet", *words)
    assert result.code == 6
    assert result.err.startswith(f"cll: {says}")
    assert result.err.endswith("; check the disk and the permissions.\n")
    assert result.err.count("\n") == 1
