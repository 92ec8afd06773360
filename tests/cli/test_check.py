import subprocess
import sys

import pytest

from cll.system import disk
from tests.build import small


@pytest.mark.parametrize(
    ("answer", "code"), [("promote", 0), ("reject", 10), ("not enough evidence", 11)]
)
def test_the_verdict_is_an_exit_code(folder, answer, code):
    (folder / "dvc.yaml").unlink()  # nothing that could have changed
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=folder, check=True)
    verdict = {"answer": answer, "model_id": "0a", "champion": "none", "rules": []}
    disk.write_json(folder / "reports" / "verdict.json", verdict)
    assert small.cll(folder, "gate").code == code


def test_an_instant_that_does_not_parse_is_refused_with_an_example(folder):
    result = small.cll(folder, "verify", "leakage", "--at", "tomorrow")
    assert result.code == 2
    assert result.err == (
        "cll: --at: 'tomorrow' is not an instant; write it like \"2026-01-31T00:00:00Z\".\n"
    )


def test_two_formats_of_a_comparison_exclude_each_other(folder):
    result = small.cll(folder, "diff", "--md", "--json")
    assert result.code == 2
    assert result.err == "cll: --md, --json: they exclude each other; leave one out.\n"
