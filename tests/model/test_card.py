import pytest

from cll.model import card

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


RACE = {
    "says": "Made by warm: the cheapest that does not surely lose to the best.",
    "metric": "average_precision",
    "judged_from": "2026-01-03T00:00:00Z",
    "rows": 900,
    "positives": 30,
    "contenders": {
        "full": {"value": 0.5, "row_visits": 12345},
        "online": {"left_out": "The champion has | other features."},
        "warm": {
            "value": 0.49,
            "row_visits": 456,
            "behind": {"value": 0.01, "low": -0.005, "high": 0.02},
        },
    },
}


def test_a_race_is_told_with_its_evidence_and_its_cost():
    text = card.render({**FORM, "train": {"race": RACE}, "lineage": LINEAGE})
    assert "Judged on 900 rows, 30 positive, from 2026-01-03T00:00:00Z on, before the hol" in text
    assert "| full | 0.5 |  | 12,345 |" in text
    assert "| warm | 0.49 | 0.01 (-0.005 to 0.02) | 456 |" in text
    assert "| online | left out: The champion has \\| other features. | | |" in text


def test_where_nothing_could_judge_the_reason_stands_alone():
    says = "Nothing could judge between updates, so the candidate was made by full."
    text = card.render({**FORM, "train": {"race": {"says": says}}, "lineage": LINEAGE})
    assert f"## Which update\n\n{says}\n" in text
    assert "Which update" not in card.render({**FORM, "lineage": LINEAGE})


def test_a_model_that_went_on_names_its_base():
    text = card.render({**FORM, "lineage": {**LINEAGE, "base": "0b", "base_rows": 7}})
    assert "- It goes on from 0b: the trainings before had 7 rows, some of which may be" in text
    assert "goes on from" not in card.render({**FORM, "lineage": {**LINEAGE, "base": "none"}})
