"""Step: decide whether a candidate may be released, and write the commit message of a release."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cll.model.ledger_entries import NONE, LedgerEntry, find, in_force
from cll.types.errors import ConfigError, Rejected, Undecided

BY_THE_GATE = "The gate promotes it."
_SUBJECT = 60
Mode = Literal["auto", "branch", "never"]
_FIGURES = ("floor", "ceiling", "beats", "slice", "leak.champion", "evidence")


@dataclass(frozen=True)
class ReleaseSettings:
    """Settings for how a tick releases a promoted candidate: by itself, on a branch, or not at all."""

    mode: Mode = "never"
    push: bool = False


def refuse_unfit(
    verdict: Mapping[str, Any], candidate: str, entries: Sequence[LedgerEntry], world_champion: str
) -> None:
    """Refuse a candidate unless the gate promoted it against the current champion."""
    if verdict["model_id"] != candidate:
        raise ConfigError(
            f"reports/verdict.json is on {verdict['model_id']}, models/candidate is {candidate};"
            " run `dvc repro`."
        )
    now = in_force(entries)
    if entries and now not in {verdict["champion"], candidate}:
        way = "" if world_champion == now else " once world.yaml names it"
        raise ConfigError(
            f"The verdict compares with {verdict['champion']}, and the champion is {now}; run"
            f" `dvc repro`{way}."
        )
    if verdict["answer"] == "reject":
        raise Rejected(f"{candidate}: rejected by the gate: {_because(verdict, 'failed')}")
    if verdict["answer"] != "promote":
        raise Undecided(
            f"{candidate}: not enough evidence: {_because(verdict, 'not enough evidence')}"
        )
    before = find(entries, candidate)
    if before and now != candidate:
        raise ConfigError(
            f"{candidate} is {before.version} already; make it the champion again by"
            f" `cll rollback {before.version} --why ...`."
        )


def _because(verdict: Mapping[str, Any], outcome: str) -> str:
    """Return the sentence of the first rule with this outcome."""
    sentences = [str(rule["says"]) for rule in verdict["rules"] if rule["outcome"] == outcome]
    return sentences[0] if sentences else "no rule gives a reason; run `dvc repro`."


def message(
    entry: LedgerEntry, entries: Sequence[LedgerEntry], verdict: Mapping[str, Any] | None
) -> str:
    """Return the commit message of an entry; `entries` are those before it."""
    what = "Release" if entry.kind == "release" else "Roll back to"
    subject = f"{what} {entry.version}: model {entry.model_id}"[:_SUBJECT]
    replaced = find(entries, entry.champion_before)
    before = str(replaced) if replaced else entry.champion_before
    lines = [subject, "", f"Why: {entry.why}"]
    if before == NONE:
        lines.append("It is the first model; there was no champion.")
    else:
        lines.append(f"It replaces {before}, from the next tick on.")
    lines.append(f"As of {entry.as_of}. Verdict: {entry.verdict.answer}, {entry.verdict.sha256}.")
    rules = verdict["rules"] if verdict else []
    main = [rule for rule in rules if rule["name"].startswith(_FIGURES)]
    noted = [rule for rule in rules if rule["outcome"] == "noted" and rule not in main]
    if main:
        lines += ["", "Results of the gate:", *(f"- {rule['says']}" for rule in main)]
    if noted:
        lines += ["", "Noted:", *(f"- {rule['says']}" for rule in noted)]
    return "\n".join(lines) + "\n"
