import hashlib
import json
import re
import subprocess

import numpy as np
import pytest

from cll.components.estimator.lightgbm import LightGBM
from cll.components.estimator.logistic import Logistic
from cll.model import artifact
from cll.model.artifact import CARD, MODEL, SUMS, Predictor
from cll.system import disk
from cll.types.arrays import Matrix
from cll.types.errors import SecurityRefusal, Unavailable
from cll.types.verdicts import Lineage

LINEAGE = Lineage(
    config={"seed": 1},
    data_sha256="0" * 64,
    train_from="2026-01-01T00:00:00Z",
    train_until="2026-01-20T00:00:00Z",
    rows=500,
    positives=50,
    libraries={"numpy": "2"},
)
ESTIMATORS = [LightGBM(max_rounds=10), LightGBM(max_rounds=10, members=2), Logistic(clip=3.0)]


def rows():
    chance = np.random.default_rng(0)
    X = chance.normal(size=(500, 3)).astype(np.float32)
    X[:20, 1] = np.nan
    y = (X[:, 0] + chance.normal(size=500) > 1).astype(float)
    return Matrix(X, y, ("zeta", "alpha", "last|one"))


def packed(estimator=ESTIMATORS[0]):
    data = rows()
    predictor = Predictor(estimator(data, 1), data.names, 1.1, -0.3, 0.42)
    notes = {"says": "Probabilities are calibrated.", "threshold_rule": "f1"}
    figures = {"roc_auc": 0.91}
    return predictor, artifact.pack(
        predictor, "2026-01-31T00:00:00Z", 0.8512345678, LINEAGE, notes, figures
    )


def written(folder, files):
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def resealed(folder, name, data):
    """Change a file and list its new digest, as someone who forges a model would."""
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    sums = re.sub(rf"[0-9a-f]{{64}}(?=  {re.escape(name)}\n)", digest, (folder / SUMS).read_text())
    (folder / SUMS).write_text(sums)


def reformed(folder, **changes):
    """Change model.json, and make its id and digest fit."""
    form = json.loads((folder / MODEL).read_bytes()) | changes
    form["model_id"] = artifact.model_id(form)
    resealed(folder, MODEL, disk.json_bytes(form))


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path, packed()[1])


def test_a_missing_folder_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match=r"no model is there; run `dvc repro`"):
        artifact.load(tmp_path / "candidate")


@pytest.mark.parametrize("name", ["model.txt", MODEL, CARD])
def test_a_changed_byte_is_refused_before_anything_is_parsed(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(SecurityRefusal, match=rf"{name}: sha256 is .*, SHA256SUMS has"):
        artifact.load(folder)


@pytest.mark.parametrize("name", ["model.txt", MODEL, CARD])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(SecurityRefusal, match=rf"{name}: missing, but listed in SHA256SUMS"):
        artifact.load(folder)


def test_a_folder_in_the_place_of_a_file_is_refused(folder):
    (folder / CARD).unlink()
    (folder / CARD).mkdir()
    with pytest.raises(SecurityRefusal, match=r"MODEL_CARD\.md: not a file"):
        artifact.load(folder)


def test_a_manifest_of_other_files_is_refused(tmp_path):
    (tmp_path / SUMS).write_bytes(b"")
    with pytest.raises(SecurityRefusal, match=r"model\.json: missing"):
        artifact.load(tmp_path)


def test_a_card_needs_no_figures():
    predictor, _ = packed()
    files = artifact.pack(predictor, "2026-01-31T00:00:00Z", 0.9, LINEAGE, {})
    assert "on the holdout | value" not in files[CARD].decode()


def test_a_missing_manifest_is_refused(folder):
    (folder / SUMS).unlink()
    with pytest.raises(SecurityRefusal, match=r"SHA256SUMS: missing or too long"):
        artifact.load(folder)


def test_a_file_that_is_not_listed_is_refused(folder):
    (folder / "extra.pkl").write_bytes(b"")
    with pytest.raises(SecurityRefusal, match=r"extra\.pkl: not listed in SHA256SUMS"):
        artifact.load(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", SUMS, ""])
def test_a_manifest_may_not_lead_out_of_the_folder(folder, name):
    with (folder / SUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(SecurityRefusal, match=r"SHA256SUMS:4: not a sha256 with a new file name"):
        artifact.load(folder)


def test_a_folder_over_the_limit_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(artifact, "MAX_BYTES", 100)
    with pytest.raises(SecurityRefusal, match=r"over 0 MiB; not written by `cll`"):
        artifact.load(folder)


def test_the_model_id_detects_a_forged_model_json(folder):
    form = json.loads((folder / MODEL).read_bytes()) | {"threshold": 0.0}
    resealed(folder, MODEL, disk.json_bytes(form))
    with pytest.raises(
        SecurityRefusal, match=r"model\.json: model_id is \w{16}, but the content has"
    ):
        artifact.load(folder)


def test_model_json_detects_a_swapped_tree_file(folder):
    resealed(folder, "model.txt", b"tree\n")
    with pytest.raises(SecurityRefusal, match=r"model\.txt: not the file that model\.json was"):
        artifact.load(folder)


def test_another_model_than_the_wanted_one_is_refused(folder):
    with pytest.raises(SecurityRefusal, match=r"but 0123456789abcdef is wanted"):
        artifact.load(folder, "0123456789abcdef")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "../os"}, r"estimator=\.\./os: no such component"),
        ({"model_type": "pickle"}, "estimator=pickle: no such component"),
        ({"model_type": "__init__"}, "no such component"),
        ({"version": 2}, r"model\.json: version: Input should be 1"),
        ({"threshold": "0.5"}, r"model\.json: threshold: "),
        ({"features": [{"name": "zeta", "type": "text"}]}, r"features\.0\.type"),
        ({"features": [{"name": "zeta", "type": "float32"}]}, "its features are not those of"),
        ({"model": {}}, "not a model of lightgbm: KeyError"),
        ({"files": {}}, "not a model of lightgbm: KeyError"),
    ],
)
def test_a_model_json_with_foreign_values_is_refused_in_one_line(folder, changes, says):
    reformed(folder, **changes)
    with pytest.raises(SecurityRefusal, match=says) as error:
        artifact.load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"version": NaN}'])
def test_a_damaged_model_json_is_refused(folder, data):
    resealed(folder, MODEL, data)
    with pytest.raises(SecurityRefusal, match=r"model\.json: "):
        artifact.load(folder)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["lightgbm", "members", "logistic"])
def test_a_loaded_model_gives_the_same_probabilities(tmp_path, estimator):
    predictor, files = packed(estimator)
    again = artifact.load(written(tmp_path, files))
    X = rows().X
    assert again.probability(X).tolist() == predictor.probability(X).tolist()
    assert (again.names, again.threshold) == (predictor.names, predictor.threshold)
    assert again.model_type == predictor.model_type == json.loads(files[MODEL])["model_type"]
    assert re.fullmatch(r"[0-9a-f]{16}", again.model_id)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=["lightgbm", "members", "logistic"])
def test_the_same_model_is_the_same_bytes(estimator):
    assert packed(estimator)[1] == packed(estimator)[1]


def test_a_model_that_was_read_packs_to_the_same_bytes(folder):
    again = artifact.load(folder)
    notes = again.meta["train"]
    files = artifact.pack(
        again, "2026-01-31T00:00:00Z", 0.8512345678, LINEAGE, notes, {"roc_auc": 0.91}
    )
    assert files == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_model_json_holds_the_facts_that_a_release_needs(folder):
    form = json.loads((folder / MODEL).read_bytes())
    assert form["created"] == "2026-01-31T00:00:00Z"
    assert form["accuracy"] == 0.851235
    assert form["features"][0] == {"name": "zeta", "type": "float32"}
    assert form["lineage"]["rows"] == 500
    assert set(form["importance"]) == {"zeta", "alpha", "last|one"}


def test_sha256sum_itself_can_check_a_model(folder):
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0


def test_the_card_has_its_sections_and_figures(folder):
    card = (folder / CARD).read_text()
    assert card.startswith("# Model card: lightgbm ")
    assert "| roc_auc | 0.91 |" in card
    assert "last\\|one" in card
    for part in ("## Intended use", "## Data", "## Calibration and threshold", "## Limits"):
        assert part in card


def test_the_card_names_a_model_that_uses_no_feature():
    data = rows()
    flat = Matrix(np.zeros_like(data.X), data.y, data.names)
    predictor = Predictor(ESTIMATORS[0](flat, 1), data.names)
    files = artifact.pack(predictor, "2026-01-31T00:00:00Z", 0.9, LINEAGE, {})
    assert "| none: it gives each row the same probability | 0 |" in files[CARD].decode()
