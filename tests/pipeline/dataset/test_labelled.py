from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
import yaml

from cll.config import project
from cll.pipeline.dataset import labelled, tables
from cll.system import disk
from cll.system import manifest as system_manifest
from cll.types.arrays import Matrix
from cll.types.errors import DataRefused, SecurityRefusal, Unavailable
from cll.types.times import format_instant
from tests.build import small


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return small.fleet(tmp_path_factory)


@pytest.fixture(scope="module")
def loaded(fleet):
    return load(fleet)


@pytest.fixture
def copy(fleet, tmp_path):
    return small.copied(fleet, tmp_path / "project")


def load(ws, **changed):
    tree = yaml.safe_load(ws.resolved.read_text())
    return labelled.load(ws, {**tree, **changed}, project.read_world(ws.root / "world.yaml"))


def test_stages_of_one_process_share_what_follows_from_the_same(copy):
    tree = yaml.safe_load(copy.resolved.read_text())
    world = project.read_world(copy.root / "world.yaml")
    first = labelled.shared(copy, tree, world)
    assert labelled.shared(copy, {**tree, "estimator": {}}, world) is first
    assert first.X.tobytes() == load(copy).X.tobytes()
    later = replace(world, as_of=world.as_of + timedelta(hours=1))
    split = {**tree, "split": {**tree["split"], "holdout": 0.4}}
    assert (
        labelled.shared(copy, {**tree, "seed": 9}, world) is first
    )  # no chance in a split in time
    drawn = {**tree, "split": {"_target_": "cll.components.split.random.Random"}}
    for other in ((tree, later), (split, world), (drawn, world), ({**drawn, "seed": 9}, world)):
        assert labelled.shared(copy, *other) is not first
    first = labelled.shared(copy, tree, world)
    manifest = disk.read_checked(copy.features / system_manifest.MANIFEST)
    facts = {**manifest["facts"], "changed": True}
    system_manifest.write_manifest(copy.features, manifest["key"], facts, manifest["files"])
    assert labelled.shared(copy, tree, world) is not first


def test_features_of_other_signals_are_refused(copy):
    manifest = disk.read_checked(copy.signals / system_manifest.MANIFEST)
    manifest["facts"]["counts"]["in"] += 1
    system_manifest.write_manifest(
        copy.signals, manifest["key"], manifest["facts"], manifest["files"]
    )
    with pytest.raises(DataRefused, match=r"features: not the features of .*signals; run `dvc"):
        load(copy)


def test_features_that_lack_a_day_are_refused(copy):
    (copy.features / system_manifest.part("2026-01-02")).unlink()
    with pytest.raises(DataRefused, match=r"part-0\.parquet: is missing; run `dvc repro` again"):
        load(copy)


@pytest.mark.parametrize("part", ["signals", "features"])
def test_one_flipped_byte_of_the_data_is_refused(copy, part):
    path = copy.root / "data" / part / system_manifest.part("2026-01-02")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(SecurityRefusal, match="its bytes do not match the manifest"):
        load(copy)


def test_data_that_is_not_there_says_what_to_run(tmp_path):
    with pytest.raises(Unavailable, match=r"manifest\.json: not there yet; run `dvc repro` first"):
        tables.columns(small.project(tmp_path / "project"))


def test_each_row_has_its_own_features(fleet, loaded):
    features = tables.read(fleet.features)
    keys = ["entity", "time"]
    wanted = loaded.rows.select(keys).join(features, on=keys, how="left", maintain_order="left")
    assert np.array_equal(loaded.X, wanted.select(loaded.names).to_numpy(), equal_nan=True)
    assert loaded.X.dtype == np.float32
    assert loaded.rows.select(keys).equals(loaded.rows.select(keys).sort(keys))


def test_a_row_teaches_or_judges_or_neither(loaded):
    parts = loaded.rows["part"].to_numpy()
    assert np.array_equal(parts == "train", loaded.split.train)
    assert np.array_equal(parts == "holdout", loaded.split.holdout)
    assert set(parts) == {"train", "holdout", "other"}
    ends = loaded.rows.group_by("part").agg(pl.max("time"), pl.min("time").alias("first"))
    times = {part: (first, last) for part, last, first in ends.rows()}
    assert times["holdout"][0] - times["train"][1] >= loaded.embargo


def test_rows_without_a_label_are_counted_by_the_reason(fleet, loaded):
    everything = tables.read(fleet.signals).height
    assert loaded.rows.height + sum(loaded.excluded.values()) == everything
    assert loaded.excluded["immature"] > 0
    assert "mature" not in loaded.excluded
    assert loaded.rows["label"].null_count() == 0


def test_a_matrix_holds_the_rows_of_its_mask(loaded):
    matrix = loaded.matrix(loaded.split.holdout)
    assert matrix.X.shape == (loaded.split.holdout.sum(), len(loaded.names))
    assert matrix.y.sum() == loaded.rows.filter(pl.col("part") == "holdout")["label"].sum()


def test_columns_come_back_as_the_source_named_them(fleet):
    columns = tables.columns(fleet)
    assert columns.numeric == ("cpu_usage", "memory_usage", "error_rate", "response_time")
    assert columns.group
    assert columns.outcome


def test_a_champion_picks_its_features_in_its_own_order():
    rows = Matrix(np.array([[1, 2, 3]], np.float32), np.zeros(1), ("a", "b", "c"))
    assert labelled.aligned(rows, ("c", "a")).tolist() == [[3, 1]]
    assert labelled.aligned(rows, ("a", "b", "c")) is rows.X


def test_a_champion_that_reads_what_is_not_there_is_refused():
    rows = Matrix(np.zeros((1, 1), np.float32), np.zeros(1), ("a",))
    with pytest.raises(DataRefused, match="The champion reads z, which these features lack"):
        labelled.aligned(rows, ("a", "z"))


@pytest.mark.parametrize(
    ("embargo", "until"), [(0, "2026-01-20T00:00:00Z"), (30, "2026-01-20T00:29:59.999999Z")]
)
def test_a_model_knows_of_its_last_row_and_of_what_its_label_looked_at(embargo, until):
    lineage = {"train_until": "2026-01-20T00:00:00Z"}
    found = labelled.trained_until(lineage, timedelta(minutes=embargo))
    assert format_instant(found) == until


@pytest.mark.parametrize("lineage", [{}, {"train_until": "then"}, {"train_until": None}])
def test_a_lineage_that_does_not_tell_until_when_is_refused(lineage):
    with pytest.raises(DataRefused, match="has no valid train_until"):
        labelled.trained_until(lineage, timedelta(0))
