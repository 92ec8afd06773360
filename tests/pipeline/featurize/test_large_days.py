import polars as pl
import pytest

from cll.config import components
from cll.pipeline.dataset import tables
from cll.system import frames, manifest
from cll.system.partitions import SealedFolder
from tests.build import small

WORDS = [
    "source.entities=6",
    "source.missing=0.02",
    "source.late=0.1",
    "features.windows=[30m]",
    "features.lags=[1]",
    "++features.delay=10m",
    "features.past_outcomes.lags=[1]",
    "estimator=logistic",
]


def features(ws, *words):
    small.reproduce(ws, [*WORDS, *words], last="featurize")
    return tables.read(ws.features)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return features(small.project(tmp_path_factory.mktemp("whole") / "project"))


def parts(folder):
    there = SealedFolder(folder)
    return {date: len(manifest.parts(there.files[date])) for date in there.partitions}


@pytest.mark.parametrize("rows", [300, 700, 1500])
def test_a_day_worked_in_buckets_has_the_features_of_a_day_worked_whole(tmp_path, whole, rows):
    ws = small.project(tmp_path / "project")
    found = features(ws, f"ingest.bucket_rows={rows}")
    assert found.columns == whole.columns
    assert found.write_ipc(None).getvalue() == whole.write_ipc(None).getvalue()


def test_a_day_with_more_rows_than_a_bucket_has_parts_of_whole_entities(tmp_path):
    ws = small.project(tmp_path / "project")
    features(ws, "source.duplicates=0.1", "ingest.bucket_rows=400")
    assert set(parts(ws.signals).values()) == {5}
    assert parts(ws.features) == parts(ws.signals)
    first = SealedFolder(ws.signals).files["2026-01-02"]
    entities = [
        set(frames.read_frame(ws.signals / name, ["entity"])["entity"])
        for name in manifest.parts(first)
    ]
    assert sum(map(len, entities)) == len(set().union(*entities)) == 6


@pytest.mark.slow
def test_features_that_compare_surprises_are_the_same_in_buckets(tmp_path):
    words = [
        "features.surprise={median: [1h], peers: [rank], summary: null}",
        "features.peers.statistics=[rank,ratio,deviation]",
        "features.peers.delay=2m",
    ]
    one = features(small.project(tmp_path / "whole"), *words)
    ws = small.project(tmp_path / "buckets")
    many = features(ws, *words, "ingest.bucket_rows=250")
    assert one.equals(many)
    tree = components.load_yaml(ws.resolved)
    assert components.build("features", tree["features"]).halves()[1] is not None


def test_a_feature_set_that_has_no_halves_is_worked_whole(tmp_path):
    ws = small.project(tmp_path / "project")
    small.reproduce(
        ws, ["source.entities=4", "features=kpi", "ingest.bucket_rows=300"], last="featurize"
    )
    assert tables.read(ws.features).height == tables.read(ws.signals).height
    assert set(parts(ws.features).values()) == {1}


def test_only_what_is_within_a_bucket_is_read_at_once(tmp_path):
    ws = small.project(tmp_path / "project")
    small.reproduce(ws, [*WORDS, "ingest.bucket_rows=300"], last="ingest")
    for date, files in SealedFolder(ws.signals).files.items():
        if date.startswith("2026"):
            for name in manifest.parts(files):
                rows = pl.scan_parquet(ws.signals / name).select(pl.len()).collect().item()
                assert rows <= 300 + 288  # a whole entity more at most
