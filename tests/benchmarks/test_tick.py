import pytest

from tests.run.benchmarks import run


@pytest.mark.slow
def test_a_tick_is_told_with_and_without_dvc(tmp_path):
    found = run("tick", tmp_path, "--rows-per-day", "288", "--partitions", "3")
    assert found["year"]["rows"] == 366 * 288
    assert list(found["ticks"]["3"]) == ["all", "nothing", "a new day", "a late record"]
    assert "ingest_s" not in found["ticks"]["3"]["nothing"]
    assert found["ticks"]["3"]["a late record"]["ingest_s"] > 0
