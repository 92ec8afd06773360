import json

import numpy as np
import pytest

from cll.model import artifact
from cll.release import ledger, models, smoke_test
from cll.system import disk
from cll.types.errors import CllError, SecurityRefusal
from tests.build import released

pytestmark = pytest.mark.slow


@pytest.fixture
def ws(tmp_path_factory, tmp_path):
    return released.copied(released.once(tmp_path_factory), tmp_path / "project")


@pytest.fixture
def folder(ws):
    return models.folder(ws.root, ledger.read(ws.root).champion)


@pytest.fixture
def told(ws, folder):
    return models.known_scores_path(ws.root, folder.name)


def changed(path, **changes):
    disk.write_json(path, json.loads(path.read_bytes()) | changes)


def test_a_hundred_rows_and_their_scores_are_kept_a_row_a_line(told):
    found = json.loads(told.read_bytes())
    assert len(found["rows"]) == len(found["scores"]) == 100
    assert len(set(found["scores"])) > 1
    rows = told.read_text().split('"rows": [\n')[1].splitlines()
    assert json.loads(rows[0].rstrip(",")) == found["rows"][0]


def test_the_rows_are_kept_to_the_last_bit(ws, folder):
    predictor = artifact.load(ws.candidate)
    assert predictor.model_id == folder.name
    odd = np.array([0.1, np.pi, 1e-38, np.nan, 16777217.0], np.float32)
    again = np.asarray(smoke_test._written(odd), np.float32)
    assert again.tobytes() == odd.tobytes()


def test_a_fresh_process_gives_the_known_scores_bit_for_bit(ws, folder, told):
    assert smoke_test.check(ws, folder, told) == 100


def test_a_score_that_is_off_by_the_last_bit_is_refused(ws, folder, told):
    scores = json.loads(told.read_bytes())["scores"]
    changed(told, scores=[np.nextafter(scores[0], 1), *scores[1:]])
    with pytest.raises(SecurityRefusal, match=r"its scores differ from .*known\.json by up"):
        smoke_test.check(ws, folder, told)


def test_on_another_kind_of_machine_a_millionth_is_fair(ws, folder, told):
    found = json.loads(told.read_bytes())
    made_by = {**found["made_by"], "cpu": "another"}
    scores = found["scores"]
    changed(told, made_by=made_by, scores=[scores[0] + 5e-7, *scores[1:]])
    assert smoke_test.check(ws, folder, told) == 100
    changed(told, scores=[scores[0] + 5e-6, *scores[1:]])
    with pytest.raises(SecurityRefusal, match="its scores differ from"):
        smoke_test.check(ws, folder, told)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_id": "0" * 16}, "not the rows of the model in"),
        ({"names": ["a"]}, "not the rows of the model in"),
        ({"scores": [0.5]}, "not the rows of the model in"),
        ({"rows": "all"}, "not rows with their scores"),
        ({"scores": [None] * 100}, "its scores differ from"),
    ],
)
def test_rows_of_another_model_are_refused(ws, folder, told, changes, says):
    changed(told, **changes)
    with pytest.raises(CllError, match=says) as found:
        smoke_test.check(ws, folder, told)
    assert found.value.exit_code == 4


def test_what_the_process_refuses_is_refused_here(ws, folder, told):
    (folder / "extra.pkl").write_bytes(b"")
    with pytest.raises(CllError, match=r"extra\.pkl: not listed in SHA256SUMS") as found:
        smoke_test.check(ws, folder, told)
    assert found.value.exit_code == 4


def test_a_process_that_dies_is_told(ws, folder, told, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(SecurityRefusal, match="can't be loaded in a fresh process: "):
        smoke_test.check(ws, folder, told)
