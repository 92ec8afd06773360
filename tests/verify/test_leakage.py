import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from cll.types.errors import ConfigError, Unavailable
from cll.verify import leakage
from tests.build import small
from tests.conftest import ROOT

FLEET = ["source.entities=4", "source.late=0.05", "estimator=logistic"]
SMALL = [*FLEET, "features.windows=[30m]", "features.lags=[1]"]

# What a user could write, and should be told of.
CENTRED = '''\
"""A mean around each row, which knows the hour behind it."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl


@dataclass(frozen=True)
class Centred:
    rows: int = 25

    @property
    def lookback(self):
        return timedelta(hours=2)

    @property
    def reads_incidents(self):
        return False

    def __call__(self, signals, columns, incidents):
        around = pl.col(columns).rolling_mean(self.rows, center=True, min_samples=1).over("entity")
        now = pl.col(columns).cast(pl.Float32).name.suffix("_now")
        return signals.select("entity", "time", now, around.cast(pl.Float32))
'''
PEEKING = '''\
"""Whether an incident begins soon, as they are known today and not as of then."""

from dataclasses import dataclass, replace
from datetime import datetime, timezone

from cll.components.label.incident import Incident


@dataclass(frozen=True)
class Peeking:
    own: Incident = Incident()

    @property
    def horizon(self):
        return self.own.horizon

    @property
    def embargo(self):
        return self.own.embargo

    def __call__(self, signals, incidents, as_of):
        return self.own(signals, incidents, datetime(2100, 1, 1, tzinfo=timezone.utc))
'''
ANSWER = '''\
"""The answer as a feature."""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl


@dataclass(frozen=True)
class Answer:
    scale: float = 1.0

    @property
    def lookback(self):
        return timedelta(0)

    @property
    def reads_incidents(self):
        return False

    def __call__(self, signals, columns, incidents):
        told = pl.col("outcome").cast(pl.Float32) * self.scale
        now = pl.col("cpu_usage").cast(pl.Float32)
        return signals.select("entity", "time", now, answer=told)
'''
RUN = """\
import sys
from pathlib import Path
from cll.verify import leakage
from cll.system import workspace
from tests.build import small

small.reproduce(workspace.Workspace(Path()), sys.argv[1:], last="featurize")
sys.exit(leakage.check(Path()))
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    ws = small.project(tmp_path_factory.mktemp("leakage") / "project")
    small.reproduce(ws, SMALL, last="featurize")
    return ws


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A project with code of its own."""
    folder = tmp_path_factory.mktemp("own") / "project"
    small.project(folder)
    shutil.copytree(ROOT / "cll", folder / "cll", ignore=shutil.ignore_patterns("__pycache__"))
    texts = {"features/centred": CENTRED, "label/peeking": PEEKING, "features/answer": ANSWER}
    for name, text in texts.items():
        (folder / "cll" / "components" / f"{name}.py").write_text(text)
        target = f"cll.components.{name.replace('/', '.')}.{name.rpartition('/')[2].title()}"
        (folder / "conf" / f"{name}.yaml").write_text(f"_target_: {target}\n")
    with (folder / "conf" / "features" / "centred.yaml").open("a") as file:
        file.write("rows: 25\n")
    with (folder / "conf" / "features" / "answer.yaml").open("a") as file:
        file.write("scale: 1.0\n")
    return folder


def run(folder, *overrides):
    done = subprocess.run(
        [sys.executable, "-c", RUN, *overrides],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CLL_QUIET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines()[1:])
    assert lines, done.stderr
    return done.returncode, lines


def check(ws, capsys, monkeypatch, at=None):
    monkeypatch.chdir(ws.root)
    code = leakage.check(ws.root, at)
    return code, capsys.readouterr().out.splitlines()


def test_without_data_the_error_names_the_command_to_run(tmp_path):
    ws = small.project(tmp_path / "project")
    small.compose_into(ws, SMALL)
    with pytest.raises(Unavailable, match="not there yet; run `dvc repro` first"):
        leakage.check(ws.root)


@pytest.mark.parametrize("year", [2025, 2027])
def test_an_instant_outside_of_the_data_is_refused(fleet, year):
    at = datetime(year, 1, 1, tzinfo=UTC)
    with pytest.raises(ConfigError, match=r"not within the data; choose from 2026-01-01T00:00:00Z"):
        leakage.check(fleet.root, at)


def test_a_project_without_look_ahead_passes(fleet, capsys, monkeypatch):
    before = sorted(
        (p, p.stat().st_mtime_ns) for p in fleet.root.rglob("*") if ".cll" not in p.parts
    )
    code, lines = check(fleet, capsys, monkeypatch)
    assert code == 0
    assert [line.split(":")[0] for line in lines[1:]] == ["features", "labels", "model", "columns"]
    assert all("the same bytes" in line for line in lines[1:4])
    assert lines[4].startswith("columns: none of ")
    after = sorted(
        (p, p.stat().st_mtime_ns) for p in fleet.root.rglob("*") if ".cll" not in p.parts
    )
    assert before == after


def test_an_instant_before_the_first_incident_leaves_the_model_unchecked(
    fleet, capsys, monkeypatch
):
    code, lines = check(fleet, capsys, monkeypatch, datetime(2026, 1, 1, 0, 30, tzinfo=UTC))
    assert code == 0
    assert lines[3].startswith(
        "model: not checked, since no model can be trained as of the instant: "
    )


@pytest.mark.slow
def test_a_window_and_a_label_that_look_ahead_are_caught_and_named(own):
    code, lines = run(own, *FLEET, "features=centred", "label=peeking")
    assert code == 1
    assert lines["features"].startswith("LEAK: 4 of 8 columns depend on data known later")
    for name in ("cpu_usage", "memory_usage", "error_rate", "response_time"):
        assert f"{name} (" in lines["features"]
    assert "_now" not in lines["features"]
    assert "; first agent-001 at 2026-01-0" in lines["features"]
    assert lines["labels"].startswith("LEAK: ")
    assert "label (" in lines["labels"]
    assert lines["model"].startswith("LEAK: ")


@pytest.mark.slow
def test_a_feature_that_equals_the_label_is_caught_by_two_checks(own):
    code, lines = run(own, *FLEET, "features=answer", "label=outcome")
    assert code == 1
    assert lines["features"].startswith("LEAK: 1 of 2 columns depend on data known later")
    assert lines["columns"] == "LEAK: feature answer alone has a ROC AUC of 1."
