import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from cll.config import components, project
from cll.pipeline import stages
from cll.pipeline.dataset import tables
from cll.pipeline.featurize import compute
from cll.pipeline.train import candidate
from cll.system import disk, frames, manifest
from cll.types.errors import ConfigError, DataRefused, SecurityRefusal, Unavailable
from tests.build import small

RUNS = ["source=files", *small.CLASSIC[1:]]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return small.fleet(tmp_path_factory)


@pytest.fixture
def copy(fleet, tmp_path):
    return small.copied(fleet, tmp_path / "project")


@pytest.fixture
def ws(tmp_path):
    return small.project(tmp_path / "project")


def world(ws, as_of="2026-01-05T00:00:00Z", champion="none"):
    (ws.root / "world.yaml").write_text(f'as_of: "{as_of}"\nchampion: "{champion}"\n')
    return project.read_world(ws.root / "world.yaml")


def read(ws, name):
    return json.loads((ws.root / name).read_text())


def days(folder):
    return sorted(path.name.removeprefix("date=") for path in folder.glob("date=*"))


def arrivals(ws):
    lines = (ws.root / "registry" / "arrivals.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def crown(ws, model_id=None):
    """Put the candidate in force, as a release does."""
    own = read(ws, "models/candidate/model.json")["model_id"]
    folder = ws.root / "registry" / "models" / (model_id or own)
    folder.parent.mkdir(parents=True)
    ws.candidate.rename(folder)
    small.shutil.copytree(folder, ws.candidate)
    return world(ws, champion=model_id or own)


def stage(folder, name):
    """Run one stage as DVC does, but in this process."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        return stages.main(name)
    finally:
        os.chdir(before)


def test_a_stage_that_is_refused_tells_why_for_a_program_too(ws, capsys):
    small.compose_into(ws, ["source=agent_runs"])
    assert stage(ws.root, "ingest") == 6
    says = "source.path=runs: no such folder; "
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"cll: {says}")
    refusal = read(ws, "reports/refusal.json")
    assert refusal["says"].startswith(says)
    assert (refusal["exit_code"], refusal["stage"]) == (6, "ingest")


def test_a_stage_that_succeeds_leaves_no_refusal(ws):
    disk.write_json(ws.reports / "refusal.json", {"exit_code": 3})
    assert stage(ws.root, "compose") == 0
    assert not (ws.reports / "refusal.json").exists()


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("params.yaml", "estimator_: logistic\n", 2),
        ("params.yaml", 'set: {source: {files: {path: "${oc.env:HOME}"}}}\n', 4),
        ("world.yaml", "as_of: soon\n", 2),
    ],
)
def test_compose_ends_with_the_code_of_its_refusal(ws, name, text, code):
    (ws.root / name).write_text(text)
    assert stage(ws.root, "compose") == code
    assert not ws.resolved.exists()


def test_a_stale_resolved_yaml_is_told(ws):
    stages.compose(ws)
    stages.compose(ws, check=True)
    (ws.root / "params.yaml").write_text("estimator: logistic\n")
    with pytest.raises(ConfigError, match=r"resolved\.yaml: stale; run `dvc repro`"):
        stages.compose(ws, check=True)


def test_a_resolved_yaml_that_names_what_is_not_on_the_list_is_refused(ws):
    tree = small.compose_into(ws, small.CLASSIC)
    tree["source"] = {"_target_": "os.system", "command": "touch called"}
    with pytest.raises(SecurityRefusal, match=r"_target_=os\.system: not a component of source"):
        stages.STAGES["ingest"](ws, tree, world(ws))


def test_before_the_first_day_there_is_nothing_to_learn_from(ws):
    world(ws, as_of="2025-12-31T00:00:00Z")
    with pytest.raises(
        DataRefused, match=r"no signal was kept: is as_of, in world.yaml, before the"
    ):
        small.reproduce(ws, small.FLEET)


def test_records_are_accounted_for(fleet):
    counts = read(fleet, "reports/ingest.json")
    assert counts["in"] > 4000
    assert counts["in"] == sum(count for name, count in counts.items() if name != "in")
    metrics = read(fleet, "metrics.json")["data"]
    assert {name: metrics[name] for name in counts} == counts


def test_bad_records_go_to_quarantine_with_their_place(ws):
    small.runs_file(ws.root / "data" / "raw" / "runs.csv", rows=40, bad=1)
    small.reproduce(ws, RUNS, last="ingest")
    (found,) = frames.read_frame(ws.signals / "quarantine.parquet").rows(named=True)
    assert (found["file"], found["field"], found["value"]) == ("data/raw/runs.csv", "time", "soon")
    assert read(ws, "reports/ingest.json")["quarantined"] == 1


def test_a_file_has_arrived_when_it_was_first_seen(ws):
    raw = ws.root / "data" / "raw"
    small.runs_file(raw / "a.csv", rows=10)
    small.reproduce(ws, RUNS, last="ingest")
    world(ws, as_of="2026-02-01T00:00:00Z")
    small.runs_file(raw / "b.csv", rows=12)
    small.reproduce(ws, RUNS, last="ingest")
    first, second = "2026-01-05T00:00:00Z", "2026-02-01T00:00:00Z"
    assert [(one["file"][-5:], one["as_of"]) for one in arrivals(ws)] == [
        ("a.csv", first),
        ("b.csv", second),
    ]
    with (raw / "a.csv").open("a") as file:
        file.write("pod-1,2026-01-04T23:00:00Z,0.1,0.1,0.1,0.1,0\n")
    small.reproduce(ws, RUNS, last="ingest")
    assert [one["as_of"] for one in arrivals(ws)] == [first, second, second]


def test_a_missing_folder_is_simulated_only_where_that_was_chosen(ws, capsys):
    words = ["source=agent_runs", *small.CLASSIC[1:]]
    with pytest.raises(Unavailable, match=r"source\.path=runs: no such folder; .*fallback=synth"):
        small.reproduce(ws, words, last="ingest")
    capsys.readouterr()
    small.reproduce(ws, [*words, "source.fallback=synthetic"], last="ingest")
    said = capsys.readouterr().err
    assert "runs: no such folder" in said
    assert "Simulating, since source.fallback says so." in said
    assert "synthetic.Synthetic" in yaml.safe_dump(yaml.safe_load(ws.resolved.read_text()))


def test_a_folder_that_is_there_is_read_and_not_simulated(ws):
    small.runs_file(ws.root / "runs" / "one.csv", rows=10)
    words = ["source=agent_runs", "source.fallback=synthetic", *small.CLASSIC[1:]]
    small.reproduce(ws, words, last="ingest")
    assert read(ws, "reports/ingest.json")["in"] == 10


def test_nothing_of_an_earlier_run_stays(copy):
    world(copy, as_of="2026-01-03T00:00:00Z")
    small.reproduce(copy, small.FLEET, last="featurize")
    assert days(copy.signals) == days(copy.features) == ["2026-01-01", "2026-01-02"]


def test_a_model_tells_where_it_comes_from(fleet):
    model = read(fleet, "models/candidate/model.json")
    assert model["created"] == "2026-01-05T00:00:00Z"
    assert model["model_type"] == "logistic"
    lineage = model["lineage"]
    assert set(lineage["config"]) == set(candidate.LINEAGE_GROUPS)
    assert lineage["rows"] == read(fleet, "metrics.json")["data"]["train_rows"]
    assert lineage["train_until"] < read(fleet, "metrics.json")["data"]["holdout_from"]
    assert lineage["data_sha256"]
    assert str(fleet.root) not in json.dumps(model)


def test_the_same_project_twice_is_the_same_bytes(fleet, copy):
    small.reproduce(copy, small.FLEET)
    names = {str(path.relative_to(fleet.root)) for path in fleet.root.rglob("*") if path.is_file()}
    assert len(names) > 30
    for name in sorted(name for name in names if not name.startswith(".cll/")):
        assert (copy.root / name).read_bytes() == (fleet.root / name).read_bytes(), name


def test_without_a_champion_none_is_judged(fleet):
    assert "champion" not in read(fleet, "metrics.json")
    verdict = read(fleet, "reports/verdict.json")
    assert verdict["champion"] == "none"
    assert verdict["model_id"] == read(fleet, "models/candidate/model.json")["model_id"]


def test_a_champion_is_judged_on_the_candidates_holdout(copy):
    now = crown(copy)
    tree = yaml.safe_load(copy.resolved.read_text())
    for name in ("evaluate", "gate", "report"):
        stages.STAGES[name](copy, tree, now)
    metrics = read(copy, "metrics.json")
    assert metrics["champion"] == metrics["candidate"]
    assert read(copy, "reports/verdict.json")["champion"] == now.champion
    assert now.champion in (copy.reports / "report.md").read_text()


def test_a_champion_under_another_name_is_refused(copy):
    now = crown(copy, model_id="0123456789abcdef")
    tree = yaml.safe_load(copy.resolved.read_text())
    with pytest.raises(SecurityRefusal, match="but 0123456789abcdef is wanted"):
        stages.evaluate(copy, tree, now)


def test_a_champion_that_reads_other_features_is_refused(copy):
    now = crown(copy)
    words = ["source.entities=4", "features=kpi", "estimator=logistic"]
    with pytest.raises(DataRefused, match="The champion reads cpu_usage_missing, which these"):
        small.reproduce(copy, words, last="evaluate")
    assert now.champion != "none"


def test_a_champion_that_is_not_there_is_told(copy):
    now = world(copy, champion="0123456789abcdef")
    tree = yaml.safe_load(copy.resolved.read_text())
    with pytest.raises(Unavailable, match="registry/models/0123456789abcdef: no model is there"):
        stages.evaluate(copy, tree, now)


def test_the_page_and_the_text_say_the_verdict(fleet):
    answer = read(fleet, "reports/verdict.json")["answer"]
    assert answer in (fleet.reports / "report.md").read_text()
    assert answer in (fleet.reports / "report.html").read_text()


def test_a_days_features_are_the_same_bytes_alone_and_in_a_stretch_of_days(ws):
    overrides = [*small.FLEET, "features.windows=[30m,2d]"]
    tree = small.reproduce(ws, overrides, last="featurize")
    feature_set = components.build("features", tree["features"])
    columns, incidents = tables.columns(ws), tables.incidents(ws)
    signals = tables.read(ws.signals)
    for day in days(ws.signals):
        since = datetime.fromisoformat(day).replace(tzinfo=UTC)
        until_then = signals.filter(pl.col("time") < since + timedelta(days=1))
        alone = compute.featurize(until_then, feature_set, columns, incidents, since)
        kept = frames.read_frame(ws.features / manifest.part(day))
        assert alone.write_ipc(None).getvalue() == kept.write_ipc(None).getvalue()
