import pytest

from cll import card

FORM = {
    "model_type": "logistic",
    "model_id": "0a",
    "created": "2026-01-05T00:00:00Z",
    "accuracy": 0.9,
    "threshold": 0.5,
    "features": [],
    "importance": {},
    "train": {},
}
LINEAGE = {
    "rows": 9,
    "positives": 3,
    "train_from": "2026-01-01T00:00:00Z",
    "train_until": "2026-01-04T00:00:00Z",
    "data_sha256": "00",
    "libraries": {},
}


@pytest.mark.parametrize(
    ("more", "told"), [({}, 0), ({"notes": {}}, 0), ({"notes": {"fallback": "synthetic"}}, 1)]
)
def test_a_model_of_simulated_data_says_so(more, told):
    text = card.render({**FORM, "lineage": {**LINEAGE, **more}})
    assert text.count("- Simulated: the source's folder was missing (fallback).") == told
    assert "a missing value is NaN.\n\n## How" in text or told
