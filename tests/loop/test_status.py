import json
import re

import pytest

from cll.loop import daemon, status, tick
from cll.system import disk, locks
from tests.build import released, small
from tests.run import turning

pytestmark = pytest.mark.slow


@pytest.fixture
def ws(tmp_path_factory, tmp_path):
    return turning.copied(turning.ledgered(tmp_path_factory), tmp_path / "project")


def told(ws):
    return json.loads(released.cll(ws.root, "status", "--json").out)


def lines(ws):
    said = released.cll(ws.root, "status")
    assert said.code == 0, said.err
    return {line[:10].strip(): line[11:] for line in said.out.splitlines()}


def files(ws):
    there = (path for path in ws.root.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in there}


def test_what_can_not_be_told_says_why_and_hides_nothing_else(tmp_path):
    ws = small.project(tmp_path / "project")
    found = lines(ws)
    assert found["as of"] == "2026-01-05T00:00:00Z"
    assert found["waits"].startswith("unknown: ")
    assert found["trigger"].startswith("unknown: ")
    assert found["last tick"] == "none in this clone"
    assert found["loop"] == "not running"


def test_a_resolved_config_of_before_says_what_to_run(tmp_path):
    ws = small.project(tmp_path / "project")
    ws.resolved.write_text("seed: 0\n")
    assert lines(ws)["waits"] == ("unknown: resolved.yaml: has no source; run `cll compose`.")
    assert lines(ws)["trigger"] == ("unknown: resolved.yaml: names no trigger; run `cll compose`.")


def test_it_reads_only_also_while_another_changes_the_project(ws):
    before = files(ws)
    with locks.only_one(ws.root):
        assert told(ws)["trigger"]["fires"] is False
    released.cll(ws.root, "trigger", "--explain")
    assert {path: told for path, told in files(ws).items() if path.name != "lock"} == {
        path: told for path, told in before.items() if path.name != "lock"
    }


def test_a_release_is_told_to_count_from_the_next_tick_on(ws):
    assert told(ws)["champion"]["next_version"] == "v1.0.0"
    assert "; from the next tick on v1.0.0 (" in lines(ws)["champion"]


def test_files_that_are_new_grew_shrank_or_went_are_counted(ws):
    assert lines(ws)["waits"] == "nothing, of 1 files"
    turning.arrive(ws, "2026-01-05")
    with (ws.root / "telemetry" / "runs.csv").open("a") as file:
        file.write("pod-1,2026-01-04T23:00:00Z,0.1,0.1,0.1,0.1,0\n")
    assert lines(ws)["waits"] == "1 new, 1 grown, of 2 files"
    (ws.root / "telemetry" / "runs.csv").write_text("entity,time\n")
    assert told(ws)["waits"] == {"files": 2, "new": 1, "grown": 0, "shrunk": 1, "gone": 0}
    (ws.root / "telemetry" / "runs.csv").unlink()
    assert told(ws)["waits"]["gone"] == 1


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (
            {"ticking": "2026-01-06T00:00:00Z", "mode": "auto"},
            "every 1h, --mode auto; ticking to 2026-01-06T00:00:00Z now",
        ),
        (
            {"failures": 3, "next": "2999-01-01T00:00:00Z"},
            "every 1h; 3 failures in a row, again 2999-01-01T00:00:00Z",
        ),
        (
            {"failures": 0, "next": "2999-01-01T00:00:00Z"},
            "every 1h; next tick 2999-01-01T00:00:00Z",
        ),
        (
            {"failures": 0, "next": "2026-01-01T00:00:00Z"},
            "every 1h; next tick 2026-01-01T00:00:00Z, late",
        ),
    ],
)
def test_a_loop_that_runs_says_what_it_does_or_waits_for(tmp_path, state, says):
    ws = small.project(tmp_path / "project")
    disk.write_json(ws.root / daemon.STATE, {"every": "1h", "mode": None, "pid": 1, **state})
    assert lines(ws)["loop"] == "not running"
    with locks.alone(ws.root / daemon.LOCK, "held"):
        assert lines(ws)["loop"] == says


def test_the_last_tick_says_how_it_ended(tmp_path):
    ws = small.project(tmp_path / "project")
    ended = {"as_of": "2026-01-06T00:00:00Z", "code": 3, "says": "no day.", "ended": "then"}
    disk.write_json(ws.root / tick.LAST, ended)
    assert lines(ws)["last tick"] == "to 2026-01-06T00:00:00Z, ended then with 3: no day."
    assert status.read(ws.root)["form"] == "status"


def test_a_world_later_than_now_is_named(tmp_path):
    ws = small.project(tmp_path / "project", as_of="2999-01-01T00:00:00Z")
    assert lines(ws)["as of"] == (
        "2999-01-01T00:00:00Z, later than now; unless the data are simulated, move it back:"
        " cll tick --as-of"
    )
    assert told(ws)["as_of"] == "2999-01-01T00:00:00Z"


def test_code_that_changed_since_it_was_composed_is_named_by_its_stages(tmp_path):
    ws = small.project(tmp_path / "project")
    small.compose_into(ws, small.CLASSIC)
    assert lines(ws)["code"] == "as composed"
    ws.resolved.write_text(
        re.sub("(?m)^  (train|gate): v.*$", r"  \1: v0", ws.resolved.read_text())
    )
    assert told(ws)["code"] == ["train", "gate"]
    assert lines(ws)["code"] == "changed since it was composed, for train, gate; run `dvc repro`"
