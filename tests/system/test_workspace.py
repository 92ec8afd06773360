from datetime import UTC, datetime
from pathlib import Path

import pytest

from cll.model import champion
from cll.system import workspace
from cll.types.errors import ConfigError
from tests.build import small

JANUARY, FEBRUARY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def ws(tmp_path):
    return small.project(tmp_path / "project")


def test_no_champion_is_no_model(ws):
    with pytest.raises(ConfigError, match="champion=none: there is no champion yet"):
        champion.folder(ws, "champion")


def test_models_are_found_by_role_or_by_folder(ws):
    (ws.root / "world.yaml").write_text(
        'as_of: "2026-01-05T00:00:00Z"\nchampion: "00112233445566aa"\n'
    )
    assert champion.folder(ws, "candidate") == ws.root / "models" / "candidate"
    assert champion.folder(ws, "champion") == ws.root / "registry" / "models" / "00112233445566aa"
    assert champion.folder(ws, "some/folder") == Path("some/folder")


def test_results_go_to_a_folder_of_their_own_and_the_champion_stays(ws, tmp_path):
    run = workspace.Workspace(ws.root, tmp_path / "run")
    assert run.signals == tmp_path / "run" / "data" / "signals"
    assert run.reports == tmp_path / "run" / "reports"
    (ws.root / "world.yaml").write_text(
        'as_of: "2026-01-05T00:00:00Z"\nchampion: "00112233445566aa"\n'
    )
    assert champion.folder(run, "champion").is_relative_to(ws.root)


def test_what_is_apart_takes_over_nothing(ws, tmp_path):
    run = workspace.Workspace(ws.root, tmp_path / "run")
    assert run.seeds("signals") == [ws.root / "data" / "signals"]
    assert run.cache == ws.root / ".cll"
    apart = workspace.Workspace(ws.root, tmp_path / "run", isolated=True)
    assert apart.seeds("signals") == []
    assert apart.cache == tmp_path / "run" / ".cll"
