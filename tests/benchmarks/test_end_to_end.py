import pytest

from tests.run.benchmarks import run


@pytest.mark.slow
def test_both_train_on_the_same_rows_labels_and_number_of_columns(tmp_path):
    found = run("end_to_end", tmp_path, "--rows", "35000")
    same = ("rows", "positives", "features")
    assert [found["cll"][name] for name in same] == [found["plain"][name] for name in same]
