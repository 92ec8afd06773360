import pytest

from cll.release import policy
from cll.types.errors import ConfigError, Rejected, Undecided
from tests.model.test_ledger_entries import MODELS, back_to, entry, ledger


def verdict(answer="promote", model_id=MODELS[5], champion=MODELS[1], rules=()):
    return {"answer": answer, "model_id": model_id, "champion": champion, "rules": list(rules)}


def rule(name, outcome, says):
    return {"name": name, "outcome": outcome, "says": says, "value": 1, "bound": 2}


def refuse(found, candidate=MODELS[5], entries=None, world=MODELS[1]):
    policy.refuse_unfit(found, candidate, ledger(2) if entries is None else entries, world)


def test_a_promoted_candidate_may_be_released():
    refuse(verdict())
    refuse(verdict(champion="none"), entries=[], world="none")


def test_the_champion_by_hand_of_a_project_without_a_ledger_may_be_replaced():
    refuse(verdict(champion=MODELS[3]), entries=[], world=MODELS[3])


def test_a_verdict_on_another_model_is_refused():
    with pytest.raises(ConfigError, match=r"is on 0+f, models/candidate is 0+e; run `dvc repro`"):
        refuse(verdict(), candidate=MODELS[4])


@pytest.mark.parametrize(
    ("world", "way"),
    [(MODELS[0], "run `dvc repro` once world.yaml names it."), (MODELS[1], "run `dvc repro`.")],
)
def test_a_verdict_against_another_champion_is_refused(world, way):
    with pytest.raises(ConfigError, match=r"compares with 0+a, and the champion is 0+b") as found:
        refuse(verdict(champion=MODELS[0]), world=world)
    assert str(found.value).endswith(way)


def test_what_the_gate_rejects_is_refused_with_its_reason():
    rules = [rule("evidence", "passed", "Fine."), rule("floor.f1", "failed", "f1 is low.")]
    with pytest.raises(Rejected, match=r"0f: rejected by the gate: f1 is low\."):
        refuse(verdict("reject", rules=rules))


def test_what_the_gate_leaves_open_is_refused_with_its_reason():
    rules = [rule("evidence", "not enough evidence", "9 blocks.")]
    with pytest.raises(Undecided, match=r"0f: not enough evidence: 9 blocks\."):
        refuse(verdict("not enough evidence", rules=rules))
    with pytest.raises(Undecided, match="no rule gives a reason"):
        refuse(verdict("not enough evidence"))


def test_a_model_that_was_released_before_comes_back_by_a_rollback_alone():
    with pytest.raises(ConfigError, match=r"0a is v1\.0\.0 already; .*`cll rollback v1\.0\.0"):
        refuse(verdict(model_id=MODELS[0]), candidate=MODELS[0])


def test_the_message_says_version_model_reason_figures_and_what_is_replaced():
    rules = [
        rule("evidence", "passed", "60 blocks."),
        rule("beats.champion", "passed", "The gain is 0.1."),
        rule("leak.overlap", "passed", "No row."),
        rule("calibration", "noted", "Not calibrated."),
    ]
    entries = ledger(2)
    new = entry(entries, why="fewer false alarms")
    assert policy.message(new, entries, verdict(rules=rules)) == (
        f"Release v1.2.0: model {MODELS[2]}\n"
        "\n"
        "Why: fewer false alarms\n"
        f"It replaces v1.1.0 ({MODELS[1]}), from the next tick on.\n"
        f"As of 2026-01-05T00:00:00Z. Verdict: promote, {'3' * 64}.\n"
        "\n"
        "Results of the gate:\n"
        "- 60 blocks.\n"
        "- The gain is 0.1.\n"
        "\n"
        "Noted:\n"
        "- Not calibrated.\n"
    )


def test_the_message_of_a_rollback_needs_no_verdict():
    entries = ledger(2)
    text = policy.message(back_to(entries, 0, why="too slow"), entries, None)
    assert text.startswith(f"Roll back to v1.0.0: model {MODELS[0]}\n\nWhy: too slow\n")
    assert "Results of the gate" not in text


def test_the_first_release_says_so_and_one_by_hand_is_named():
    assert "It is the first" in policy.message(entry(), [], None)
    by_hand = entry(champion_before=MODELS[3])
    assert f"It replaces {MODELS[3]}, from" in policy.message(by_hand, [], None)
