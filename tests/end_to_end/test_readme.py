"""What the README says of one's own data, done to the letter."""

import gzip
import json
import re
from datetime import UTC, datetime
from itertools import chain

import polars as pl
import pytest

from cll.components.source.synthetic import Synthetic
from tests.conftest import ROOT, clone

pytestmark = pytest.mark.slow


def yaml_of_ones_own_data():
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return next(block for block in blocks if "telemetry" in block)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone with a folder of telemetry under published names, and the README's params.yaml."""
    made = clone(tmp_path_factory.mktemp("own") / "project")
    as_of = datetime(2026, 1, 13, tzinfo=UTC)
    chunks = [piece.read() for piece in Synthetic(entities=8)(as_of, ())]
    signals = pl.concat([c.rows for c in chunks if c.table == "signals"])
    incidents = pl.concat([c.rows for c in chunks if c.table == "incidents"])
    folder = made.folder / "telemetry"
    folder.mkdir()
    published = signals.select(
        "memory_usage",
        "error_rate",
        "response_time",
        pod="entity",
        ts=pl.col("time").dt.epoch("s"),
        cpu_pct="cpu_usage",
        queue=pl.col("response_time") * 3,
    )
    for number, part in enumerate(published.iter_slices(10_000)):
        lines = chain((json.dumps(row) for row in part.iter_rows(named=True)), ["{broken"])
        (folder / f"{number}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    incidents.select(
        pod="entity",
        began=pl.col("start").dt.epoch("s"),
        ended=pl.col("end").dt.epoch("s"),
        fault="kind",
    ).write_csv(folder / "incidents.csv")
    made.write("params.yaml", yaml_of_ones_own_data())
    made.run("dvc", "repro")
    return made


def test_every_record_is_accounted_for_and_bad_ones_are_quarantined(project):
    counts = json.loads(project.run("cll", "ingest", "--json"))
    files = len(list((project.folder / "telemetry").glob("*.gz")))
    assert counts["quarantined"] == files
    assert counts["in"] == counts["kept"] + files
    found = pl.read_parquet(project.folder / "data/signals/quarantine.parquet")
    assert set(found["value"]) == {"{broken"}


def test_a_unit_is_converted(project):
    day = next((project.folder / "data/signals").glob("date=*/*.parquet"))
    assert pl.read_parquet(day)["cpu_usage"].max() <= 1.0


def test_the_column_of_ones_own_is_a_feature(project):
    model = json.loads(project.read("models/candidate/model.json"))
    assert any(f["name"].startswith("queue_depth") for f in model["features"])


def test_the_commands_of_that_section_work(project):
    project.run("cll", "predict", "telemetry/0.jsonl.gz", "--out", "scores.parquet")
    assert 0 < pl.read_parquet(project.folder / "scores.parquet").height <= 10_000
    project.run("cll", "export", "--onnx", "model.onnx")
    assert (project.folder / "model.onnx").stat().st_size > 1000
    answer = json.loads(project.read("reports/verdict.json"))["answer"]
    code = {"promote": 0, "reject": 10, "not enough evidence": 11}[answer]
    assert answer in project.run("cll", "gate", code=code)


def test_training_again_with_one_and_two_threads_gives_the_same_bytes(project):
    output = project.run("cll", "verify", "run")
    assert "1 thread: the same bytes" in output
    assert "2 threads: the same bytes" in output
