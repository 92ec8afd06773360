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
    ("more", "count"), [({}, 0), ({"notes": {}}, 0), ({"notes": {"fallback": "synthetic"}}, 1)]
)
def test_the_card_of_a_model_of_simulated_data_warns(more, count):
    text = card.render({**FORM, "lineage": {**LINEAGE, **more}})
    assert text.count("- Simulated: the source's folder was missing (fallback).") == count
    assert "a missing value is NaN.\n\n## Calibration" in text or count


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


def test_the_card_compares_the_updates_of_a_race():
    text = card.render({**FORM, "train": {"race": RACE}, "lineage": LINEAGE})
    assert "Scored on 900 rows, 30 positive, from 2026-01-03T00:00:00Z on, before the hol" in text
    assert "| full | 0.5 |  | 12,345 |" in text
    assert "| warm | 0.49 | 0.01 (-0.005 to 0.02) | 456 |" in text
    assert "| online | left out: The champion has \\| other features. | | |" in text


def test_a_race_without_rows_to_compare_shows_the_reason_only():
    says = "Nothing could judge between updates, so the candidate was made by full."
    text = card.render({**FORM, "train": {"race": {"says": says}}, "lineage": LINEAGE})
    assert f"## Comparison of updates\n\n{says}\n" in text
    assert "Comparison of updates" not in card.render({**FORM, "lineage": LINEAGE})


def test_the_card_of_a_continued_model_names_its_base():
    text = card.render({**FORM, "lineage": {**LINEAGE, "base": "0b", "base_rows": 7}})
    assert (
        "- The training continued model 0b, which was trained on 7 rows; some of them may" in text
    )
    assert "The training continued" not in card.render(
        {**FORM, "lineage": {**LINEAGE, "base": "none"}}
    )
