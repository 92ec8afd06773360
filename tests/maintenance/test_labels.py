import json
import os
import shutil
from pathlib import Path

import pytest

from cll.config import components
from cll.config.project import load_tree, load_world
from cll.maintenance import labels
from cll.pipeline import stages
from cll.pipeline.dataset import labelled, tables
from cll.system import manifest
from tests.build import small

ASKED = {"total", "mature", "positive", "negative", "pending", "censored"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Two days of a small fleet, up to noon, so that some labels are not known yet."""
    ws = small.project(tmp_path_factory.mktemp("labels") / "project", "2026-01-02T12:00:00Z")
    small.reproduce(ws, [*small.FLEET, "source.entities=12"], last="featurize")
    return ws


@pytest.fixture
def copy(fleet, tmp_path):
    return small.copied(fleet, tmp_path / "project")


def move(ws, as_of):
    (ws.root / "world.yaml").write_text(f'as_of: "{as_of}"\nchampion: none\n')
    before = Path.cwd()
    os.chdir(ws.root)
    try:
        for stage in ("ingest", "featurize"):
            stages.STAGES[stage](ws, load_tree(ws), load_world(ws))
    finally:
        os.chdir(before)


def test_the_figures_add_up_by_day_and_by_group(fleet):
    found = labels.counts(fleet.root)
    assert found["total"] == tables.read(fleet.signals).height
    for parts in (found["days"], found["groups"]):
        for name in ASKED:
            assert sum(one[name] for one in parts) == found[name]
    for one in (found, *found["days"], *found["groups"]):
        assert one["total"] == one["mature"] + one["pending"] + one["censored"]
        assert one["mature"] == one["positive"] + one["negative"]
        assert one["censored"] == one["running"] + one["uncovered"] + one["untold"]
    assert [one["day"] for one in found["days"]] == ["2026-01-01", "2026-01-02"]
    assert 0 < found["pending"] <= 12 * 7  # 11:20 is known at noon, and who is failing is left out
    assert found["running"] > 0


def test_the_counts_are_those_of_the_training(fleet):
    loaded = labelled.load(fleet, load_tree(fleet), load_world(fleet))
    found = labels.counts(fleet.root)
    assert found["mature"] == loaded.rows.height
    assert found["positive"] == (loaded.rows["label"] == 1).sum()
    assert found["pending"] == loaded.excluded["immature"]


def test_the_table_ends_with_a_line_that_adds_up(fleet, capsys):
    labels.show(fleet.root, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    found = labels.counts(fleet.root)
    assert lines[0].split()[:6] == ["day", "total", "mature", "positive", "pending", "censored"]
    assert [line.split()[0] for line in lines[1:4]] == ["2026-01-01", "2026-01-02", "all"]
    assert lines[-1].startswith("label=incident as of 2026-01-02T12:00:00Z: 5,184 = ")
    assert lines[-1].endswith(f"+ {found['pending']} pending + {found['censored']:,} censored")


def test_json_is_one_line_of_it(fleet, capsys):
    labels.show(fleet.root, as_json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == labels.counts(fleet.root)
    assert out.count("\n") == 1


def test_data_of_another_instant_are_said_to_be(copy, capsys):
    (copy.root / "world.yaml").write_text('as_of: "2026-01-03T00:00:00Z"\nchampion: none\n')
    assert labels.counts(copy.root)["pending"] == 0
    said = capsys.readouterr().err
    assert "data/signals are as of 2026-01-02T12:00:00Z; `dvc repro` brings them to" in said


def test_outcomes_that_are_not_told_are_censored(tmp_path):
    ws = small.project(tmp_path / "project")
    small.runs_file(ws.root / "data" / "raw" / "runs.csv", 40)
    path = ws.root / "data" / "raw" / "runs.csv"
    lines = path.read_text().splitlines()
    lines[1:4] = [line[:-1] for line in lines[1:4]]
    path.write_text("\n".join(lines) + "\n")
    small.reproduce(ws, ["source=files", *small.CLASSIC[1:]], last="ingest")
    found = labels.counts(ws.root)
    assert (found["total"], found["untold"], found["censored"]) == (40, 3, 3)
    assert found["label"] == "outcome"
    assert "groups" not in found


def test_features_of_a_closed_day_stay_the_same_bytes_when_its_labels_mature(copy):
    before = labels.counts(copy.root)
    day = "2026-01-01"
    path = copy.features / manifest.part(day)
    kept, first = path.read_bytes(), (copy.signals / manifest.part(day)).read_bytes()
    move(copy, "2026-01-02T00:00:00Z")  # the day has just closed
    closed = labels.counts(copy.root)
    assert path.read_bytes() == kept
    move(copy, "2026-01-03T00:00:00Z")
    after = labels.counts(copy.root)
    assert path.read_bytes() == kept
    assert (copy.signals / manifest.part(day)).read_bytes() == first
    assert closed["days"][0]["pending"] > 0
    assert before["days"][0]["pending"] == after["days"][0]["pending"] == 0
    assert after["days"][0]["mature"] > closed["days"][0]["mature"]
    again = (copy.features / manifest.part("2026-01-02")).read_bytes()
    shutil.rmtree(copy.root / ".cll", ignore_errors=True)
    shutil.rmtree(copy.features)
    shutil.rmtree(copy.signals)
    move(copy, "2026-01-03T00:00:00Z")  # all of it anew
    assert path.read_bytes() == kept
    assert (copy.features / manifest.part("2026-01-02")).read_bytes() == again


def test_the_labels_of_the_config_are_those_that_are_counted(copy):
    tree = small.compose_into(copy, [*small.FLEET, "source.entities=12", "label=outcome"])
    assert components.build("label", tree["label"]).horizon.total_seconds() == 0
    found = labels.counts(copy.root)
    assert found["pending"] == 12 * 11  # an outcome is known an hour after its run
