import pytest

from tests.run.benchmarks import run


@pytest.mark.slow
def test_a_sweep_is_told_beside_bare_fits_and_a_plain_script(tmp_path):
    words = ("--rows", "20000", "--seeds", "1", "--peers", "4", "--leave-out", "queue")
    found = run("sweep", tmp_path, *words)
    assert found["jobs"] == 4
    assert found["bare"]["ratio"] > 0
    assert found["hydra"]["ratio"] > 0
