import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cll.pipeline.report import terminal
from cll.system import console, disk
from cll.types.errors import CllError, ConfigError, DataRefused, Unavailable
from cll.vcs import commands

LONG = "its high end must be at most a tenth, " * 8 + "and is not."
METRICS = {
    "candidate": {"accuracy": {"value": 0.9, "low": 0.85, "high": 0.95}, "f1": {"value": 0.5}},
    "baseline": {"no_change": {"accuracy": 0.7}, "one_column": {"accuracy": 0.8, "f1": 0.4}},
    "bayes": {"accuracy": 0.95},
    "gap": {"accuracy": 0.05},
    "events": {"caught": 3, "lead_median_minutes": 12.5},
    "data": {"in": 1200, "kept": 1190, "quarantined": 6, "duplicate": 3, "pending": 1},
}
RULES = [
    {"name": "floor.accuracy", "outcome": "passed", "says": "fine."},
    {"name": "ceiling.brier", "outcome": "failed", "says": LONG},
]


PIPELINE = """\
stages:
  one:
    cmd: python -c "import shutil; shutil.copy('a', 'b')"
    deps: [a]
    params:
      - world.yaml: [as_of]
    outs: [b]
"""


def dvc(folder, *words):
    command = [sys.executable, "-m", "dvc", *words, "-q"]
    subprocess.run(command, cwd=folder, env=commands.for_child(), check=True)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A project of one stage that is up to date."""
    folder = tmp_path_factory.mktemp("reproduced") / "project"
    folder.mkdir()
    (folder / "a").write_text("1")
    (folder / "world.yaml").write_text("as_of: 1\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    dvc(folder, "init", "--no-scm")
    dvc(folder, "repro")
    return write(folder, answer="promote")


@pytest.fixture
def project(reproduced, tmp_path):
    return shutil.copytree(reproduced, tmp_path / "project")


def write(folder, metrics=METRICS, answer="reject", rules=RULES):
    verdict = {"answer": answer, "model_id": "0123abcd", "champion": "none", "rules": rules}
    disk.write_json(folder / "metrics.json", metrics)
    disk.write_json(folder / "reports" / "verdict.json", verdict)
    return folder


@pytest.fixture
def shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def show(name="run", **what):
        terminal.show(write(tmp_path / name, **what))
        return capsys.readouterr().out.splitlines()

    return show


def test_without_results_the_error_names_the_command_to_run(tmp_path):
    with pytest.raises(Unavailable, match=r"metrics\.json: not there yet; run `dvc repro` first"):
        terminal.show(tmp_path)


@pytest.mark.parametrize("text", ["{}", "[]", '{"answer": "maybe"}', "{"])
def test_a_damaged_verdict_is_refused(tmp_path, text):
    write(tmp_path)
    (tmp_path / "reports" / "verdict.json").write_text(text)
    with pytest.raises(DataRefused, match=r"verdict\.json: "):
        terminal.verdict(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a", "2", "one: a is modified since the verdict; run `dvc repro`."),
        ("b", "2", "one: b is modified since the verdict; run `dvc repro`."),
        ("world.yaml", "as_of: 2\n", "one: world.yaml: as_of is modified since"),
        ("world.yaml", "{}\n", "one: world.yaml: as_of is removed since"),
        ("dvc.yaml", PIPELINE.replace("import", "import os,"), "one: command is changed since"),
        ("dvc.yaml", PIPELINE.replace("outs: [b]", "outs: [b, a2]"), "one: a2 is modified since"),
    ],
)
def test_a_verdict_of_an_earlier_state_is_refused(project, name, text, says):
    (project / "a2").write_text("1")
    (project / name).write_text(text)
    with pytest.raises(ConfigError) as found:
        terminal.verdict(project)
    assert str(found.value).startswith(says)


def test_a_clone_without_dvcs_cache_can_be_asked(project):
    (project / "b").unlink()
    shutil.rmtree(project / ".dvc" / "cache")
    assert terminal.verdict(project) == 0


@pytest.mark.parametrize("change", ["edit", "remove"])
def test_a_failed_stage_gives_its_own_message_and_exit_code(project, change):
    (project / "a").write_text("2") if change == "edit" else (project / "a").unlink()
    refusal = {"exit_code": 3, "says": "train: nothing to learn from.", "stage": "train"}
    disk.write_json(project / "reports" / "refusal.json", refusal)
    with pytest.raises(CllError, match=r"^train: nothing to learn from\.$") as found:
        terminal.verdict(project)
    assert found.value.exit_code == 3


def test_a_refusal_that_was_fixed_is_ignored(project):
    disk.write_json(project / "reports" / "refusal.json", {"exit_code": 3, "says": "no."})
    assert terminal.verdict(project) == 0


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"says": "a", "exit_code": "b"}'])
def test_a_damaged_refusal_file_is_ignored(project, text):
    (project / "a").write_text("2")
    (project / "reports" / "refusal.json").write_text(text)
    with pytest.raises(ConfigError, match="one: a is modified"):
        terminal.verdict(project)


def test_a_verdict_on_another_model_than_the_candidate_is_refused(project):
    disk.write_json(project / "models" / "candidate" / "model.json", {"model_id": "0123abcd"})
    assert terminal.verdict(project) == 0
    disk.write_json(project / "models" / "candidate" / "model.json", {"model_id": "ffff"})
    with pytest.raises(ConfigError, match=r"model\.json: is not the model of reports/verdict"):
        terminal.verdict(project)


def test_a_verdict_outside_of_a_dvc_project_is_refused(tmp_path):
    with pytest.raises(Unavailable, match="`dvc status` can't tell what changed: you are not"):
        terminal.verdict(write(tmp_path, answer="promote"))


def test_a_stale_project_is_shown_with_a_note_and_a_runs_folder_without(
    project, monkeypatch, capsys
):
    monkeypatch.delenv("CLL_QUIET", raising=False)
    (project / "a").write_text("2")
    monkeypatch.chdir(project)
    terminal.show(Path())
    found = capsys.readouterr()
    assert found.err == "stale: one: a is modified since the verdict; run `dvc repro`.\n"
    assert "verdict  promote  0123abcd" in found.out
    terminal.show(project)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("answer", "code"), [("promote", 0), ("reject", 10), ("not enough evidence", 11)]
)
def test_each_answer_has_its_exit_code(project, capsys, answer, code):
    assert terminal.verdict(write(project, answer=answer)) == code
    assert capsys.readouterr().out.startswith(f"verdict  {answer}  0123abcd\n")


def test_a_metric_has_its_interval_and_the_baselines_values(shown):
    lines = shown()
    assert lines[0].split() == ["metric", "candidate", "95", "%", "no", "change", "one", "column"]
    assert lines[1].split() == ["accuracy", "0.900", "0.850", "..", "0.950", "0.700", "0.800"]
    assert lines[2].split() == ["f1", "0.500", "0.400"]


def test_a_champion_has_a_column(shown):
    champion = {"accuracy": {"value": 0.875}}
    lines = shown(metrics={**METRICS, "champion": champion})
    assert "champion" in lines[0]
    assert "0.875" in lines[1]


def test_a_run_without_events_or_truth_shows_none(shown):
    metrics = {key: METRICS[key] for key in ("candidate", "data")}
    text = "\n".join(shown(metrics=metrics))
    assert "events" not in text
    assert "best possible" not in text


def test_facts_follow_the_table(shown):
    lines = shown()
    assert "best possible accuracy 0.950: gap 0.050" in lines
    assert "events   caught 3, lead median minutes 12.500" in lines
    total = "1,200 in = 1,190 kept + 6 quarantined + 3 duplicate + 1 pending"
    assert f"records  {total}" in lines


def test_each_rule_that_did_not_pass_is_one_line(shown):
    lines = shown()
    assert f"         failed: ceiling.brier: {LONG}" in lines
    assert not any("floor.accuracy" in line for line in lines)


def test_simulated_data_are_named(shown):
    line = "source   simulated: the source's folder is missing (fallback)"
    assert line not in shown()
    assert line in shown(metrics={**METRICS, "data": {**METRICS["data"], "fallback": "synthetic"}})


def test_paths_are_relative_to_the_current_folder(shown):
    assert shown("deep/run")[-3:] == [
        "model    deep/run/models/candidate",
        "report   deep/run/reports/report.html",
        "metrics  deep/run/metrics.json",
    ]


def test_a_folder_elsewhere_has_its_full_path(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert console.near(tmp_path / "there") == tmp_path / "there"


def test_brackets_in_a_name_are_no_markup(shown):
    assert shown("[bold]")[-1] == "metrics  [bold]/metrics.json"


def test_a_narrow_terminal_cuts_no_sentence(tmp_path):
    text = io.StringIO()
    terminal.show(write(tmp_path), Console(file=text, width=40, force_terminal=True))
    assert LONG in text.getvalue()


def test_counts_are_a_sentence_or_json(tmp_path):
    disk.write_json(tmp_path / "reports" / "ingest.json", METRICS["data"])
    assert terminal.counts(tmp_path, as_json=False).startswith("1,200 in = 1,190 kept + ")
    assert json.loads(terminal.counts(tmp_path, as_json=True)) == METRICS["data"]
