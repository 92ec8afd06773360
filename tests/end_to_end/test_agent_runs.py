import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter

from cll.components.source.files import Files
from cll.types.errors import Unavailable
from tests.run.draining import chunks

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)


def runs(folder, **settings):
    tree = yaml.safe_load(Path("conf/source/agent_runs.yaml").read_text())
    del tree["_target_"]
    tree |= {"path": str(folder), **settings}
    return TypeAdapter(Files).validate_json(json.dumps(tree), strict=True)


def test_a_project_without_runs_says_so_in_one_line(tmp_path):
    source = runs(tmp_path / "runs")
    with pytest.raises(Unavailable, match=r"runs: no such folder; .*source.fallback=synthetic"):
        list(source(AS_OF, []))


def test_a_chosen_fallback_is_told_apart_from_a_folder_that_is_there(tmp_path):
    source = runs(tmp_path / "runs", fallback="synthetic")
    assert source.fallback == "synthetic"
    assert "no such folder" in source.missing
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "one.json").write_text("{}")
    assert runs(tmp_path / "runs", fallback="synthetic").missing is None


def test_a_run_is_a_json_file_or_a_json_line(tmp_path):
    run = {"entity": "agent-1", "time": "2026-01-01T00:00:00Z", "cpu_usage": 0.5, "failed": True}
    run |= dict.fromkeys(["memory_usage", "error_rate", "response_time"])
    (tmp_path / "a.json").write_text(json.dumps(run, indent=2))
    (tmp_path / "b.jsonl").write_text(
        json.dumps(run | {"entity": "agent-2", "failed": False})
        + "\n"
        + json.dumps(run | {"entity": "agent-3", "failed": None})
        + "\n"
    )
    one, two = chunks(runs(tmp_path), AS_OF)
    assert one.rows.select("entity", "cpu_usage", "error_rate", "outcome").rows() == [
        ("agent-1", 0.5, None, 1.0)
    ]
    assert two.rows.select("entity", "outcome").rows() == [("agent-2", 0.0), ("agent-3", None)]
    assert one.rejects.height == two.rejects.height == 0
