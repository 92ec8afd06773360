import pytest

from tests.run.benchmarks import run


@pytest.mark.slow
def test_ingest_keeps_every_row_that_polars_reads(tmp_path):
    found = run("ingest", tmp_path, "--rows", "2000", "--only", "csv", "--times", "1")["formats"]
    rows = {
        one[who]["rows"] for one in found.values() for who in ("polars", "kept", "floor", "cll")
    }
    assert list(found) == ["csv, daily", "csv, whole"]
    assert rows == {2 * 3 * 288}  # entities, days, rows a day
