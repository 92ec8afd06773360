import json

import numpy as np
import polars as pl
import pytest
import yaml

from cll.config import project
from cll.model import artifact
from cll.pipeline.dataset import labelled, tables
from cll.serving import predict_files
from cll.system import manifest
from cll.types.errors import ConfigError, DataRefused, SecurityRefusal, Unavailable
from tests.build import small

KPIS = ["cpu_usage", "memory_usage", "error_rate", "response_time"]
RUNS = ["source=files", *small.CLASSIC[1:]]
HISTORY = ["source=files", "features=windows", *small.CLASSIC[2:]]
OTHER = "0a" * 8  # a champion
PAST = ["features.windows=[30m]", "features.past_outcomes={windows: [1d]}"]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return small.fleet(tmp_path_factory)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A project on run history of its own, with two rows that are not sound."""
    ws = small.project(tmp_path_factory.mktemp("runs") / "project")
    small.runs_file(ws.root / "data" / "raw" / "runs.csv", rows=400, bad=2)
    small.reproduce(ws, RUNS, last="train")
    return ws


@pytest.fixture
def out(tmp_path):
    return tmp_path / "scores.parquet"


def judged(ws):
    """Return the holdout with the candidate's scores, by the way that evaluate takes."""
    tree = yaml.safe_load(ws.resolved.read_text())
    data = labelled.load(ws, tree, project.read_world(ws.root / "world.yaml"))
    held = data.matrix(data.split.holdout)
    model = artifact.load(ws.candidate)
    rows = data.rows.filter(pl.col("part") == "holdout").select("entity", "time")
    return rows.with_columns(expected=pl.Series(model.probability(held.X)))


def assert_same_bits(ws, out):
    keys = ["entity", "time"]
    both = judged(ws).join(pl.read_parquet(out), on=keys, how="left", maintain_order="left")
    assert both.height > 50
    assert both["probability"].n_unique() > 10
    assert np.array_equal(both["expected"].to_numpy(), both["probability"].to_numpy())


def exported(fleet, columns=("entity", "time", *KPIS)):
    return tables.read(fleet.signals).select(columns)


def test_another_ending_is_refused_before_anything_is_read(fleet, tmp_path):
    with pytest.raises(ConfigError, match=r"out\.xlsx: name a \.parquet or a \.csv file"):
        predict_files.score(fleet, tmp_path / "no.csv", tmp_path / "out.xlsx", "candidate")


def test_files_that_are_not_there_are_named(fleet, tmp_path, out):
    with pytest.raises(Unavailable, match=r"no\.csv: no such file or folder"):
        predict_files.score(fleet, tmp_path / "no.csv", out, "candidate")


def test_a_file_of_another_kind_is_no_data(fleet, tmp_path, out):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(Unavailable, match=r"notes\.txt: no file to read; JSONL, JSON, CSV"):
        predict_files.score(fleet, tmp_path / "notes.txt", out, "candidate")


def test_the_data_is_not_written_over(fleet, tmp_path):
    data = tmp_path / "data.csv"
    exported(fleet).write_csv(data)
    before = data.read_bytes()
    with pytest.raises(ConfigError, match="is one of the input files; name another file"):
        predict_files.score(fleet, data, data, "candidate")
    assert data.read_bytes() == before


def test_a_file_without_a_column_says_which(fleet, tmp_path, out):
    exported(fleet, ("entity", "time", *KPIS[1:])).write_csv(tmp_path / "data.csv")
    with pytest.raises(
        DataRefused, match=r"no row to score: 1 are in quarantine; .* lacks 'cpu_usage'"
    ):
        predict_files.score(fleet, tmp_path / "data.csv", out, "candidate")
    assert not out.exists()


def test_a_file_without_rows_has_nothing_to_score(fleet, tmp_path, out):
    exported(fleet).clear().write_csv(tmp_path / "data.csv")
    with pytest.raises(DataRefused, match="no row to score: the files have none"):
        predict_files.score(fleet, tmp_path / "data.csv", out, "candidate")


def test_a_model_with_a_flipped_byte_is_refused(fleet, tmp_path, out):
    ws = small.copied(fleet, tmp_path / "project")
    path = ws.candidate / "model.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    exported(fleet).write_csv(tmp_path / "data.csv")
    with pytest.raises(SecurityRefusal, match=r"model\.json: sha256 is"):
        predict_files.score(ws, tmp_path / "data.csv", out, "candidate")


def test_without_a_champion_there_is_none_to_score_with(fleet, tmp_path, out):
    exported(fleet).write_csv(tmp_path / "data.csv")
    with pytest.raises(ConfigError, match="champion=none: there is no champion yet"):
        predict_files.score(fleet, tmp_path / "data.csv", out, "champion")


def test_a_champion_that_is_another_model_is_refused(fleet, tmp_path, out):
    ws = small.copied(fleet, tmp_path / "project")
    (ws.candidate).rename(ws.root / "models" / "other")
    (ws.root / "registry" / "models").mkdir(parents=True)
    (ws.root / "models" / "other").rename(ws.root / "registry" / "models" / OTHER)
    (ws.root / "world.yaml").write_text(
        'as_of: "2026-01-05T00:00:00Z"\nchampion: "' + OTHER + '"\n'
    )
    exported(fleet).write_csv(tmp_path / "data.csv")
    with pytest.raises(SecurityRefusal, match=f"but {OTHER} is wanted"):
        predict_files.score(ws, tmp_path / "data.csv", out, "champion")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_exported_signals_get_the_scores_of_training_to_the_last_bit(fleet, tmp_path, out, form):
    rows = exported(fleet).sample(fraction=1, shuffle=True, seed=1)
    write = {"csv": rows.write_csv, "jsonl": rows.write_ndjson, "parquet": rows.write_parquet}
    write[form](tmp_path / f"data.{form}")
    counts = predict_files.score(fleet, tmp_path / f"data.{form}", out, "candidate")
    assert counts.kept == counts.records_in == rows.height
    assert_same_bits(fleet, out)


def test_the_projects_own_partitions_can_be_scored(fleet, out):
    predict_files.score(fleet, fleet.signals, out, str(fleet.candidate))
    assert_same_bits(fleet, out)


def test_the_training_files_get_the_scores_of_training_and_bad_rows_are_counted(runs, out):
    counts = predict_files.score(runs, runs.root / "data" / "raw", out, "candidate")
    assert (counts.records_in, counts.kept, counts.quarantined) == (400, 398, 2)
    assert pl.read_parquet(out).height == 398
    assert_same_bits(runs, out)


def test_what_is_to_be_predicted_need_not_be_told(runs, tmp_path, out):
    told = pl.read_csv(runs.root / "data" / "raw" / "runs.csv")
    told.drop("failed").write_csv(tmp_path / "new.csv")
    predict_files.score(runs, tmp_path / "new.csv", out, "candidate")
    assert_same_bits(runs, out)


def test_a_model_of_past_outcomes_wants_them_told(tmp_path, out):
    ws = small.project(tmp_path / "project")
    data = ws.root / "data" / "raw" / "runs.csv"
    small.runs_file(data, rows=400)
    small.reproduce(ws, [*HISTORY, *PAST], last="train")
    predict_files.score(ws, data, out, "candidate")
    assert_same_bits(ws, out)
    pl.read_csv(data).drop("failed").write_csv(tmp_path / "new.csv")
    with pytest.raises(DataRefused, match="lacks 'failed'"):
        predict_files.score(ws, tmp_path / "new.csv", out, "candidate")


def test_rows_by_arrival_are_known_since_the_log_says_so(tmp_path, out):
    ws = small.project(tmp_path / "project")
    small.runs_file(ws.root / "data" / "raw" / "runs.csv", rows=400)
    small.reproduce(ws, [*RUNS, "source.backfill=arrival", "split=random"], last="train")
    predict_files.score(ws, ws.root / "data" / "raw", out, "candidate")
    assert pl.read_parquet(out).height == 400


def test_a_model_of_past_incidents_wants_the_folder_of_both_tables(fleet, tmp_path, out):
    ws = small.copied(fleet, tmp_path / "project")
    small.reproduce(ws, [*small.FLEET, "features.since_incident=true"], last="train")
    predict_files.score(ws, ws.signals, out, "candidate")
    assert_same_bits(ws, out)
    with pytest.raises(ConfigError, match="the model also uses past incidents; name the folder"):
        predict_files.score(ws, (ws.signals / manifest.part("2026-01-02")), out, "candidate")


def test_the_sources_own_folder_holds_incidents_that_are_no_signals(tmp_path, out):
    ws = small.project(tmp_path / "project")
    raw = ws.root / "data" / "raw"
    small.runs_file(raw / "runs.csv", rows=400)
    lines = [f"pod-{n},2026-01-0{n}T02:00:00Z,2026-01-0{n}T03:00:00Z" for n in (1, 2, 3)]
    (raw / "incidents.csv").write_text("\n".join(["pod,from,to", *lines]) + "\n")
    columns = "{entity: pod, start: from, end: to, kind: null}"
    path = ws.root / "conf" / "source" / "files.yaml"
    both = f"incidents: {{files: [incidents.csv], columns: {columns}}}"
    path.write_text(path.read_text().replace("incidents: null", both))
    small.reproduce(ws, RUNS, last="train")
    counts = predict_files.score(ws, raw, out, "candidate")
    assert (counts.records_in, counts.quarantined) == (403, 0)
    assert_same_bits(ws, out)
    (raw / "incidents.csv").unlink()  # nothing looks at them
    assert predict_files.score(ws, raw, out, "candidate").records_in == 400


def test_a_model_that_compares_peers_says_among_which(fleet, runs, out, monkeypatch, capsys):
    monkeypatch.delenv("CLL_QUIET", raising=False)
    says = "predict: rows are compared with the entities in these files only.\n"
    predict_files.score(fleet, fleet.signals, out, "candidate")
    assert says in capsys.readouterr().err
    predict_files.score(runs, runs.root / "data" / "raw", out, "candidate")
    assert says not in capsys.readouterr().err


def test_a_csv_tells_instants_in_utc_and_the_same_probabilities(runs, tmp_path, out):
    raw = runs.root / "data" / "raw"
    predict_files.score(runs, raw, out, "candidate")
    predict_files.score(runs, raw, tmp_path / "scores.csv", "candidate")
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "entity,time,probability,alert"
    assert lines[1].split(",")[1].endswith("Z")
    told = pl.read_csv(tmp_path / "scores.csv", try_parse_dates=True)
    assert told["probability"].equals(pl.read_parquet(out)["probability"])


def test_a_model_becomes_onnx(fleet, tmp_path):
    predict_files.export_onnx(fleet, tmp_path / "out.onnx", "candidate")
    names = json.loads((fleet.candidate / "model.json").read_text())["features"]
    assert names[0]["name"].encode() in (tmp_path / "out.onnx").read_bytes()


def test_a_model_made_before_its_code_was_moved_is_served(tmp_path, out):
    """The model in tests/models was trained when its estimator lay in another folder."""
    models = small.ROOT / "tests" / "models"
    assert "cll." not in (models / "logistic" / "model.json").read_text()
    ws = small.project(tmp_path / "project")
    predict_files.score(ws, models / "rows.csv", out, str(models / "logistic"))
    expected = [1.8875032554877813e-6, 0.0634137099838, 0.0657671221312, 0.9621656270482, 0.22703]
    assert pl.read_parquet(out)["probability"].to_list() == pytest.approx(expected, rel=1e-4)
