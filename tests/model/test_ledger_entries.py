import json
from dataclasses import replace

import pytest

from cll.model import ledger_entries
from cll.model.ledger_entries import LedgerEntry, VerdictRecord
from cll.types.errors import ConfigError, SecurityRefusal

MODELS = ["0" * 15 + letter for letter in "abcdef"]


def entry(entries=(), kind="release", version=None, model=None, **changes):
    made = LedgerEntry(
        kind=kind,
        version=version or ledger_entries.next_version(entries, "minor"),
        model_id=model or MODELS[len(entries)],
        sums="1" * 64,
        known="2" * 64,
        verdict=VerdictRecord("promote", "3" * 64),
        champion_before=ledger_entries.in_force(entries),
        revision="4" * 40,
        as_of="2026-01-05T00:00:00Z",
        instant="2026-01-05T06:00:00Z",
        why="better",
        before=ledger_entries.tip(entries),
    )
    return replace(made, **changes)


def ledger(count=3):
    entries = []
    for _ in range(count):
        entries.append(entry(entries))
    return entries


def text(entries):
    return "".join(ledger_entries.line(one) + "\n" for one in entries)


def back_to(entries, number, **changes):
    return replace(
        entries[number],
        kind="rollback",
        champion_before=ledger_entries.in_force(entries),
        before=ledger_entries.tip(entries),
        **changes,
    )


def test_appended_entries_are_read_back():
    entries = ledger()
    entries.append(back_to(entries, 0))
    assert ledger_entries.parse(text(entries)) == tuple(entries)
    assert ledger_entries.in_force(entries) == MODELS[0]


@pytest.mark.parametrize("field", ["model_id", "why", "as_of", "revision", "version", "sums"])
def test_a_changed_entry_breaks_the_chain_after_it(field):
    lines = text(ledger()).splitlines()
    told = json.loads(lines[0])
    told[field] = {"version": "v1.0.7", "why": "worse", "as_of": "2026-01-06T00:00:00Z"}.get(
        field, "f" * len(told[field])
    )
    lines[0] = json.dumps(told, sort_keys=True, separators=(",", ":"))
    with pytest.raises(SecurityRefusal, match=r"ledger\.jsonl:2: the chain is broken: .*restore"):
        ledger_entries.parse("\n".join(lines) + "\n")


@pytest.mark.parametrize("drop", [0, 1])
def test_a_removed_line_breaks_the_chain(drop):
    entries = ledger()
    del entries[drop]
    with pytest.raises(SecurityRefusal, match="the chain is broken"):
        ledger_entries.parse(text(entries))


def test_two_releases_of_one_version_are_refused_also_in_an_unbroken_chain():
    entries = ledger(2)
    entries.append(entry(entries, version="v1.0.0"))
    with pytest.raises(SecurityRefusal, match=r"ledger\.jsonl:3: v1\.0\.0 was already released"):
        ledger_entries.parse(text(entries))


@pytest.mark.parametrize(
    "changes", [{"version": "v9.0.0"}, {"model_id": MODELS[5]}, {"sums": "9" * 64}]
)
def test_a_rollback_to_an_unreleased_model_is_refused(changes):
    entries = ledger(2)
    entries.append(back_to(entries, 0, **changes))
    with pytest.raises(SecurityRefusal, match=r"ledger\.jsonl:3: .* was never released"):
        ledger_entries.parse(text(entries))


def test_an_entry_that_replaces_another_model_than_the_champion_is_refused():
    entries = ledger(2)
    entries.append(entry(entries, champion_before=MODELS[0]))
    with pytest.raises(SecurityRefusal, match="000a was not the champion"):
        ledger_entries.parse(text(entries))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told | {"kind": "gift"}, r"not a ledger entry: kind: "),
        (lambda told: told | {"version": "latest"}, r"not a ledger entry: version: "),
        (lambda told: told | {"version": "v01.0.0"}, r"not a ledger entry: version: "),
        (lambda told: told | {"model_id": "../../etc"}, r"not a ledger entry: model_id: "),
        (lambda told: told | {"verdict": {"answer": "reject", "sha256": "3" * 64}}, "verdict.answ"),
        (lambda told: told | {"note": "more"}, r"not a ledger entry: note: "),
        (lambda told: {k: v for k, v in told.items() if k != "why"}, r"not a ledger entry: why: "),
    ],
)
def test_a_line_that_is_no_entry_is_refused_in_one_line(change, says):
    told = change(json.loads(ledger_entries.line(entry())))
    with pytest.raises(SecurityRefusal, match=says) as found:
        ledger_entries.parse(json.dumps(told, sort_keys=True, separators=(",", ":")) + "\n")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("damaged", ["", "\n", "{", "{}\n", "[]\n", "\ufffd\n", "null\n"])
def test_a_damaged_ledger_is_refused(damaged):
    with pytest.raises(SecurityRefusal, match=r"restore it: `git checkout HEAD -- registry/led"):
        ledger_entries.parse(damaged)


def test_a_last_line_that_is_cut_off_is_refused():
    whole = text(ledger())
    for size in (1, 40):
        with pytest.raises(SecurityRefusal, match="its last line is cut off"):
            ledger_entries.parse(whole[:-size])


def test_an_entry_in_another_json_form_is_refused_as_edited():
    told = json.loads(ledger_entries.line(entry()))
    with pytest.raises(SecurityRefusal, match=":1: not written by `cll`, but edited by hand"):
        ledger_entries.parse(json.dumps(told) + "\n")


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "=======", ">>>>>>> theirs", "||||||| 1a2b3c"])
def test_a_merge_conflict_is_refused_with_the_way_out(mark):
    lines = text(ledger()).splitlines()
    lines.insert(2, mark)
    with pytest.raises(ConfigError, match=r":3: a merge conflict; keep only the upstream's lines"):
        ledger_entries.parse("\n".join(lines) + "\n")


def test_versions_count_on_from_the_highest():
    entries = ledger(2)
    entries.append(back_to(entries, 0))
    assert [ledger_entries.next_version(entries, b) for b in ("patch", "minor", "major")] == [
        "v1.1.1",
        "v1.2.0",
        "v2.0.0",
    ]
    assert ledger_entries.next_version((), "patch") == "v1.0.0"


def test_a_second_rollback_goes_further_back():
    entries = ledger(3)
    entries.append(back_to(entries, 1))
    assert ledger_entries.previous_release(entries).version == "v1.0.0"
    entries.append(entry(entries, version="v1.3.0", model=MODELS[4]))
    assert ledger_entries.previous_release(entries).version == "v1.1.0"


def test_without_an_earlier_release_a_rollback_is_refused():
    with pytest.raises(ConfigError, match=r"v1\.0\.0: no version was released before it"):
        ledger_entries.previous_release(ledger(1))
    by_hand = [entry(champion_before=MODELS[5])]
    with pytest.raises(ConfigError, match="no version was released before it"):
        ledger_entries.previous_release(ledger_entries.parse(text(by_hand)))


def test_an_unreleased_version_is_refused_with_a_list_of_the_released_ones():
    with pytest.raises(
        ConfigError, match=r"v3\.0\.0: never released; released are: v1\.0\.0, v1\.1"
    ):
        ledger_entries.released(ledger(2), "v3.0.0")


def test_a_longer_ledger_continues_a_shorter_one_and_no_other_does():
    whole = text(ledger())
    short = text(ledger(2))
    assert ledger_entries.unaltered(whole, short, "a" * 40) is None
    assert ":3: missing, unlike in commit aaaaaaaaaaaa" in str(
        ledger_entries.unaltered(short, whole, "a" * 40)
    )
    other = whole.replace("better", "BETTER", 1)
    assert ":1: not the line of commit" in str(ledger_entries.unaltered(other, short, "a" * 40))
