"""The session in README.md, lived through once: decay, a release, a refusal and a rollback."""

import json
import re
import subprocess
import sys

import pytest

from tests.build.released import git
from tests.conftest import ROOT, Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

BLOCK = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
# LightGBM's trees, and so the ids of models and commits, depend on the family of the processor.
ID = re.compile(r"\b[0-9a-f]{16}\b|\b[0-9a-f]{12}\b")


def told(transcript):
    """Return each command, and the lines that followed it, with single spaces."""
    found = []
    for line in transcript.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            found[-1][1].append(ID.sub("<id>", " ".join(line.split())))
    return found


def said(session, command):
    return next(lines for one, lines in session if one.startswith(command))


def fits(shown):
    """Return the pattern of a line of README.md, where `...` is what was left out."""
    return re.compile(re.escape(shown).replace(re.escape("..."), ".*"))


def verdict(folder):
    return json.loads((folder / "reports" / "verdict.json").read_text())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("session") / "project"


@pytest.fixture(scope="module")
def session(place):
    command = [sys.executable, "benchmarks/session/record.py", str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return told(done.stdout)


@pytest.fixture(scope="module")
def folder(session, place):
    """The clone, once the session is over."""
    assert session
    return place


@pytest.fixture(scope="module")
def ledger(folder):
    lines = (folder / "registry" / "ledger.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_each_line_of_the_readme_was_printed_in_its_place(session):
    shown = told(BLOCK)
    assert [command for command, _ in session] == [command for command, _ in shown]
    for (command, lines), (_, printed) in zip(shown, session, strict=True):
        rest = iter(printed)
        for line in lines:
            assert any(fits(line).fullmatch(one) for one in rest), f"{command}\n{line}\n{printed}"


def test_only_the_refusals_fail(session):
    failed = [
        (command.split(" --")[0], line)
        for command, lines in session
        for line in lines
        if line.startswith("exit ")
    ]
    assert failed == [("cll gate", "exit 10"), ("cll release", "exit 10")]


def ids(ledger):
    """Return the ids of both models that were released."""
    return ledger[0]["model_id"], ledger[1]["model_id"]


def test_the_ledger_holds_two_releases_and_a_rollback(ledger):
    first, second = ids(ledger)
    assert first != second
    assert [(one["kind"], one["version"], one["model_id"]) for one in ledger] == [
        ("release", "v1.0.0", first),
        ("release", "v1.1.0", second),
        ("rollback", "v1.0.0", first),
    ]
    assert ledger[1]["champion_before"] == first
    assert ledger[1]["why"].startswith("roc_auc is 0.625 over the newest 1d")
    assert ledger[1]["verdict"]["answer"] == "promote"


def test_git_tells_why_each_tick_trained_or_did_not(folder, ledger):
    first, second = ids(ledger)
    assert git(folder, "log", "--reverse", "--format=%s", "-11").splitlines() == [
        "Watch the fleet",
        f"Release v1.0.0: model {first}",
        "Move as_of to 2026-01-29T01:00:00Z: not trained",
        "Move as_of to 2026-02-02T01:00:00Z: not trained",
        "Move as_of to 2026-02-04T01:00:00Z: undecided",
        "Move as_of to 2026-02-07T01:00:00Z: rejected",
        f"Release v1.1.0: model {second}",
        "Move as_of to 2026-02-12T01:00:00Z: not trained",
        "Move as_of to 2026-02-26T01:00:00Z: not trained",
        f"Roll back to v1.0.0: model {first}",
        "Move as_of to 2026-02-27T01:00:00Z: not trained",
    ]
    assert git(folder, "status", "--porcelain") == ""


def test_the_champion_met_the_candidates_on_rows_that_neither_had_learnt_from(folder, ledger):
    first, second = ids(ledger)
    release = git(folder, "log", "-1", "--format=%b", "--grep=Release v1.1.0")
    assert "All held-out rows are newer than the champion's training rows." in release
    last = verdict(folder)
    assert last["champion"] == second
    assert last["model_id"] not in {first, second}
    assert {one["name"]: one["outcome"] for one in last["rules"]}["leak.champion"] == "passed"


def test_the_shuffled_labels_taught_and_true_ones_judged(folder):
    lineage = json.loads((folder / "models" / "candidate" / "model.json").read_text())["lineage"]
    assert lineage["train_from"] >= "2026-02-12"
    assert lineage["train_until"] < "2026-02-21"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["data"]["holdout_from"] >= "2026-02-21"
    assert metrics["champion"]["roc_auc"]["low"] > metrics["candidate"]["roc_auc"]["high"]
    outcomes = {one["name"]: one["outcome"] for one in verdict(folder)["rules"]}
    assert outcomes["floor.roc_auc"] == "passed"  # a floor alone would have let it in
    assert outcomes["beats.champion"] == "failed"


def test_the_first_model_serves_again(session, folder, ledger):
    first, _ = ids(ledger)
    assert session
    project = Project(folder)
    assert f"champion v1.0.0 ({first})" in " ".join(project.run("cll", "status").split())
    at = project.run("cll", "registry", "at", "2026-02-27T01:00:00Z")
    assert at.strip() == f"v1.0.0 ({first})"
    said_by_verify = said(session, "cll registry verify")
    assert said_by_verify[-1] == "champion: v1.0.0 (<id>)."
